"""Chainer's last release on today's Python, and what its functions lack."""
