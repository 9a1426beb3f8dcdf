"""ResNets over time and space: torchvision's R3D, MC3 and R(2+1)D, and image ResNets inflated to C2D and I3D."""
