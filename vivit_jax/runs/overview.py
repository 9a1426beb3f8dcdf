"""What a run prints at its start: the size of the model, its memory on each device, and where its parameters lie."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from rich.table import Table

from vivit_jax import console
from vivit_jax.analysis import complexity
from vivit_jax.analysis.parameter_table import parameter_table
from vivit_jax.analysis.training_memory import trained_parameters
from vivit_jax.config import Experiment
from vivit_jax.console import counted
from vivit_jax.models.families import ModelConfig, family_of
from vivit_jax.runs.loop import Loop
from vivit_jax.runs.run import Run
from vivit_jax.training.devices.placement import bytes_per_device, placed
from vivit_jax.training.state import TrainState
from vivit_jax.weights.report import ReportLine

SMALL = ("norm", "position", "cls")
WORTH_SAYING = 0.1  # GB of batches on the host


def tell(run: Run, loop: Loop, origin: Sequence[ReportLine]) -> None:
    """Prints the overview, on the first host.

    Args:
      run: the run.
      loop: its loop, which holds the state and the plan.
      origin: the groups of initial weights, each with its source.
    """
    experiment, mesh, model = run.experiment, run.executor.mesh, run.experiment.model
    count = run.executor.batch_shards if mesh is None else mesh.size
    devices = f"{count} x {jax.devices()[0].device_kind} ({experiment.parallel.mode})"
    console.say(
        f"{experiment.name}{_of_other_data(experiment)}: {counted(run.examples, 'training clip')}, "
        f"{loop.plan.total} steps of {experiment.training.batch_size} on {devices}",
        style="bold",
    )
    if experiment.training.batch_size > run.examples:
        held = _host_bytes(run) / 1e9
        memory = f"; the host holds about {held:,.1f} GB of batches" if held >= WORTH_SAYING else ""
        console.warn(
            f"training.batch_size {experiment.training.batch_size} is more than the {counted(run.examples, 'clip')} of an epoch, so a "
            f"batch repeats clips{memory}"
        )
    console.show(parameter_table(_groups(run.variables["params"], model), tensors=False))
    family = family_of(model)
    arithmetic = complexity.count_arithmetic(model)
    console.say(
        f"{arithmetic.gmac:.4g} GMAC a view of {' x '.join(map(str, model.clip))} pixels, "
        f"{' x '.join(map(str, family.cells(model).shape))} {family.features}"
    )
    trained, frozen = trained_parameters(experiment)
    if frozen:
        console.say(f"trained: {trained:,} parameters; {frozen:,} are frozen")
    console.say(f"each device holds {_bytes(loop.state)}, plus what a step computes")
    if mesh is not None and mesh.size > 1:
        _tell_placement(loop.state, mesh)
    console.say(f"weights from {experiment.init.source}" if experiment.init.source else "first weights are random: init.source is not set")
    for group in origin if experiment.init.source else ():
        console.say(f"  {group.name}: {f'{group.source}: ' if group.name == '(config)' else ''}{group.done}")


def _of_other_data(experiment: Experiment) -> str:
    """The data set, where it is not the one that the config is named after."""
    return "" if experiment.data.name == experiment.name else f" on {experiment.data.name}"


def _groups(params: Any, model: ModelConfig) -> list[complexity.ParameterGroup]:
    """The parameters by module, with the many small ones in one group."""
    groups: dict[str, complexity.ParameterGroup] = {}
    for group in complexity.groups_of(params, model):
        small = any(word in group.name for word in SMALL)
        name = "norms, positions and cls tokens" if small else group.name.removeprefix("transformer/")
        before = groups.pop(name, complexity.ParameterGroup(name, 0, 0))
        groups[name] = complexity.ParameterGroup(name, before.tensors + group.tensors, before.parameters + group.parameters)
    return list(groups.values())


def _host_bytes(run: Run) -> int:
    """Bytes of batches that this host holds: those ahead on the devices, and two more that are being read and assembled."""
    training = run.experiment.training
    return (training.prefetch + 2) * training.batch_size // jax.process_count() * run.preprocess.clip_bytes


def _bytes(state: TrainState) -> str:
    parts: dict[str, Any] = {"parameters": state.params, "optimiser state": state.opt_state}
    if state.collections:
        parts[", ".join(state.collections)] = state.collections
    if state.average is not None:
        parts["moving average"] = state.average
    return ", ".join(f"{bytes_per_device(tree) / 1e6:,.1f} MB of {name}" for name, tree in parts.items())


def _tell_placement(state: TrainState, mesh: Mesh) -> None:
    axes = " x ".join(f"{name} {size}" for name, size in mesh.shape.items())
    parts = placed(state, mesh)
    if not any(part.axes for part in parts):
        console.say(f"mesh of {axes}: the batch is divided, every parameter is whole on each device")
        return
    console.say(f"mesh of {axes}: the batch is divided, and so are parameters with their part of the state")
    table = Table("pattern", "divided by", "largest", "on a device", box=None)
    table.add_column("MB of state", justify="right")
    for part in parts:
        divided = ", ".join(axis or "-" for axis in part.axes) or "whole"
        shapes = ("x".join(map(str, shape)) for shape in (part.largest, part.on_device))
        table.add_row(part.pattern, divided, *shapes, f"{part.bytes / 1e6:,.1f}")
    console.show(table)
