"""Estimates the memory that training takes, before anything runs."""

import jax

from vivit_jax.analysis import complexity
from vivit_jax.config import Experiment
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state


def training_bytes(experiment: Experiment) -> dict[str, int]:
    """Bytes of a training step on one device, by what takes them: an estimate, before XLA's buffers and fusion."""
    variables = complexity.variable_tree(experiment.model)
    optimizer = make_optimizer(experiment.optimizer, lambda step: 0.0, variables["params"], experiment.model)
    averaged = bool(experiment.training.ema_decay)
    state = jax.eval_shape(lambda tree: create_state(tree, optimizer, averaged=averaged), variables)
    clips = experiment.training.batch_size // experiment.training.accumulation
    return {
        "parameters": complexity.bytes_of(state.params),
        "gradients": complexity.bytes_of(state.params),
        "optimiser": complexity.bytes_of(state.opt_state),
        "moving average": complexity.bytes_of(state.average),
        f"activations of {clips} clips": complexity.activation_bytes(experiment.model, clips),
    }
