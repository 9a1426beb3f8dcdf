"""Estimates the memory that training takes, before anything runs."""

import jax
from jax.extend import core

from vivit_jax.analysis import complexity
from vivit_jax.config import Experiment
from vivit_jax.models.families import ModelConfig, build
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
        "parameters": bytes_of(state.params),
        "gradients": bytes_of(trained_leaves(state.params, optimizer)),
        "optimiser": bytes_of(state.opt_state),
        "moving average": bytes_of(state.average),
        f"activations of {clips} clips": activation_bytes(experiment.model, clips),
    }


def bytes_of(tree: object) -> int:
    """Bytes of the arrays in a tree, or of the arrays whose shapes it holds."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype"))


def activation_bytes(config: ModelConfig, batch: int = 1) -> int:
    """Bytes that training keeps from the forward pass for the backward pass, for `batch` clips.

    Counted on the traced program before XLA fuses it, so it is an estimate from above. It depends on `remat`, `dtype` and on the
    attention backend that this machine would use.
    """
    model = build(config)

    def residuals(variables: dict, video: jax.Array, key: jax.Array) -> object:
        collections = {name: tree for name, tree in variables.items() if name != "params"}

        def logits(params: dict) -> object:
            return model.apply({"params": params, **collections}, video, train=True, rngs={"dropout": key}, mutable=list(collections))[0]

        return jax.vjp(logits, variables["params"])[1]

    jaxpr = jax.make_jaxpr(residuals)(complexity.variable_tree(config), complexity.video_of(config, batch), jax.random.key(0)).jaxpr
    kept = {variable for variable in jaxpr.outvars if isinstance(variable, core.Var)} - set(jaxpr.invars) - set(jaxpr.constvars)
    return sum(variable.aval.size * variable.aval.dtype.itemsize for variable in kept)


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
