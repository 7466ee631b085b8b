"""Where bodies run: the loop, threads, processes."""
