"""What networks of convolutions over time and space are made of, and how it is computed fast."""
