"""The autoencoder with a Gumbel-softmax bottleneck, and reading codes and codebook out of it."""
