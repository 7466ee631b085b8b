"""``reactor serve --reload``: a watcher and its server, as processes, with real edits."""
