"""Training the autoencoder under Chainer's Trainer."""
