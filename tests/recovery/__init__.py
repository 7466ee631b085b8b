"""What a crash leaves behind, and what comes of it."""
