"""Random numbers, each by its purpose and its place: noise, and the order of rows."""
