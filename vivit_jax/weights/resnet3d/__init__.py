"""ResNets of torchvision and timm, read into our models, and video ResNets written as torchvision's."""
