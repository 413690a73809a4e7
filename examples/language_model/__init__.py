"""A word-level LSTM language model on the texts that come with Python."""
