"""The command ``nncompress``: a file for each of its commands, and their common parts."""
