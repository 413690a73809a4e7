"""Models whose tables are compressed where they lie: a folder or file in, a smaller one out."""
