"""Estimates the memory that training takes, before anything runs."""

import jax

from vivit_jax.analysis import complexity
from vivit_jax.config import Experiment
from vivit_jax.training.lora import SCALE, trained_by, with_adapters
from vivit_jax.training.optimizer import Optimizer, count_trained, make_optimizer, trained_leaves
from vivit_jax.training.paths import named_leaves
from vivit_jax.training.state import create_state


def training_bytes(experiment: Experiment) -> dict[str, int]:
    """Bytes of a training step on one device, by what takes them: an estimate, before XLA's buffers and fusion."""
    variables, optimizer = _variables_and_optimizer(experiment)
    averaged = experiment.training.averages
    state = jax.eval_shape(lambda tree: create_state(tree, optimizer, averaged=averaged), variables)
    clips = experiment.training.batch_size // experiment.training.accumulation
    return {
        "parameters": complexity.bytes_of(state.params),
        "gradients": complexity.bytes_of(trained_leaves(state.params, optimizer)),
        "optimiser": complexity.bytes_of(state.opt_state),
        "moving average": complexity.bytes_of(state.average),
        f"activations of {clips} clips": complexity.activation_bytes(experiment.model, clips),
    }


def trained_parameters(experiment: Experiment) -> tuple[int, int]:
    """How many parameters are trained, adapters of LoRA among them, and how many are frozen."""
    variables, optimizer = _variables_and_optimizer(experiment)
    trained = count_trained(variables["params"], optimizer)
    return trained, sum(leaf.size for path, leaf in named_leaves(variables["params"]) if not path.endswith(SCALE)) - trained


def _variables_and_optimizer(experiment: Experiment) -> tuple[dict, Optimizer]:
    """The variables as shapes, adapters among them, and the optimiser of a run."""
    lora = experiment.training.lora
    variables = complexity.variable_tree(experiment.model)
    variables = variables | {"params": with_adapters(variables["params"], lora, experiment.seed)}
    trained = trained_by(lora, experiment.model)
    return variables, make_optimizer(experiment.optimizer, lambda step: 0.0, variables["params"], experiment.model, trained)
