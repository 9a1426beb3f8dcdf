"""Reads and writes the weights of CNNs as far as this is the same for all families; `resnet3d/` and `x3d/` hold what differs."""
