"""What reading and writing the weights of CNNs has in common, whatever the family: `resnet3d/` and `x3d/` hold what differs."""
