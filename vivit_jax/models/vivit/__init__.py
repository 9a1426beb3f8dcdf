"""ViViT: its config, its modules, and what the house asks of it as a family."""
