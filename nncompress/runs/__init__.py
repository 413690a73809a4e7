"""Training runs on disk: directories, logs and snapshots, continuing and decoding."""
