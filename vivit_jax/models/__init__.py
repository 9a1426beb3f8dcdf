"""The models: Flax modules that know nothing of data, training or files."""
