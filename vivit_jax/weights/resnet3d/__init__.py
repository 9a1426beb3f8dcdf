"""ResNets of torchvision and timm, read into ours and written back."""
