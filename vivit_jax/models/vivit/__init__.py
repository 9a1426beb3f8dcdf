"""ViViT: its config, its modules, and its entry in the families of models."""
