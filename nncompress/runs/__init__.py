"""Runs on disk: their directories, logs and snapshots, and how they go on and are decoded."""
