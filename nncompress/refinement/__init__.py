"""Better codes and a better codebook after training, without Chainer."""
