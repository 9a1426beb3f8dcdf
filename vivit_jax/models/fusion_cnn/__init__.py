"""The CNNs of Karpathy et al. 2014, which fuse a clip's frames early, late or slowly: config, modules, and the family."""
