"""What a run tells at its start: the size of the model, what it takes of each device, and where its parameters lie."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from rich.table import Table

from vivit_jax import complexity, console
from vivit_jax.training.loop import Loop
from vivit_jax.training.placement import bytes_per_device, placed
from vivit_jax.training.run import Run
from vivit_jax.training.state import TrainState
from vivit_jax.weights.inflate import Group

SMALL = ("norm", "position", "cls")


def tell(run: Run, loop: Loop, origin: Sequence[Group]) -> None:
    """Prints it, on the first host.

    Args:
      run: what is trained.
      loop: which holds its state.
      origin: where the initial weights came from.
    """
    experiment, mesh, model = run.experiment, run.executor.mesh, run.experiment.model
    console.say(
        f"{experiment.name}: {run.examples} training clips, {loop.plan.total} steps of {experiment.training.batch_size} on "
        f"{run.executor.batch_shards if mesh is None else mesh.size} x {jax.devices()[0].device_kind} ({experiment.parallel.mode})",
        style="bold",
    )
    console.show(_parameters(run.params))
    arithmetic = complexity.count_arithmetic(dataclasses.replace(model, scan_layers=True))  # the same, and traced sooner
    console.say(
        f"{arithmetic.multiply_accumulates / 1e9:.4g} GMAC a view of {' x '.join(map(str, model.clip))} pixels, "
        f"{' x '.join(map(str, model.grid))} tokens"
    )
    console.say(f"each device holds {_bytes(loop.state)}, and what a step computes")
    if mesh is not None and mesh.size > 1:
        _tell_placement(loop.state, mesh)
    if experiment.init.source is not None:
        console.say(f"weights from {experiment.init.source}")
        for group in origin:
            console.say(f"  {group.name}: {group.done}")


def _parameters(params: Any) -> Table:
    groups: dict[str, int] = {}
    for group in complexity.groups_of(params):
        small = any(word in group.name for word in SMALL)
        name = "norms, positions and cls tokens" if small else group.name.removeprefix("transformer/")
        groups[name] = groups.pop(name, 0) + group.parameters
    total = sum(groups.values())
    table = Table("parameters", box=None)
    for title in ("numbers", "share"):
        table.add_column(title, justify="right")
    for name, parameters in groups.items():
        table.add_row(name, f"{parameters:,}", f"{parameters / total:.1%}")
    table.add_row("all", f"{total:,}", "100.0%", style="bold")
    return table


def _bytes(state: TrainState) -> str:
    parts: dict[str, Any] = {"parameters": state.params, "optimiser state": state.opt_state}
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
