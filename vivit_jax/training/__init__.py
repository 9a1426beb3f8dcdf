"""What trains a model: state, step, losses, optimiser, schedule, evaluation and devices. The loop around them is in `runs`."""
