"""Running Chainer's last release on today's Python, and functions that it lacks."""
