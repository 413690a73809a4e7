"""The autoencoder with a Gumbel-softmax bottleneck, and reading codes and codebook from it."""
