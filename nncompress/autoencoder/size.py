"""The number of an autoencoder's hidden units and parameters, from M, K and D."""


def hidden_units(num_codebooks: int, num_codewords: int) -> int:
    """Returns the number of units of the encoder's hidden layer: ``M*K/2``, at least 1."""
    return max(1, num_codebooks * num_codewords // 2)


def num_parameters(dim: int, num_codebooks: int, num_codewords: int) -> int:
    """Returns the number of an autoencoder's parameters.

    Args:
        dim: D.
        num_codebooks: M.
        num_codewords: K.
    """
    num_hidden = hidden_units(num_codebooks, num_codewords)
    num_units = num_codebooks * num_codewords
    return num_hidden * (dim + 1) + num_units * (num_hidden + 1) + num_units * dim
