"""The training of a model: state, step, executors, checkpoints and the loop around them."""
