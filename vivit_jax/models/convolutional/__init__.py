"""Layers of CNNs over time and space, and the ways to compute them fast."""
