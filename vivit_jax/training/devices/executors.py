"""The two executors of the one step: `jit` over a mesh, and `pmap`.

An executor knows where things lie: it places a state and a batch on the devices, runs a pure step there, and hands back what the host asks
for. Everything else (loop, checkpoints, evaluation) is the same for both.
"""

# ruff: noqa: D102 (the methods of an executor are described in `Executor`)

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vivit_jax.errors import UserError
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.devices.placement import DATA, FSDP, TENSOR, gathered_over_fsdp, shardings_of

Tree = Any


class Executor(Protocol):
    """Places states and batches on devices and runs pure steps there.

    Attributes:
      axis_name: the name of the axis that a step averages over; None where it sees the whole batch.
      batch_shards: the number of parts a batch is divided into, over all hosts.
      batch_parts: how many of these a step sees: all, or one.
      mesh: the mesh that parameters are divided over; None where every device has them whole.
      local_devices: the devices of this host that take part.
    """

    axis_name: str | None
    batch_shards: int
    batch_parts: int
    mesh: Mesh | None
    local_devices: Sequence[jax.Device]

    def place(self, create: Callable[[Tree], Tree], variables: Tree) -> Tree:
        """The state `create(variables)` on the devices; `variables` are host arrays, the same on every host."""

    def place_variables(self, variables: Tree) -> Tree:
        """A model's variables alone on the devices, for `compile_eval`."""

    def place_whole(self, value: np.generic) -> jax.Array:
        """A number on every device, for a step."""

    def gather(self, params: Tree) -> Tree:
        """Inside a step: the parameters as they are used."""

    def to_devices(self, batch: dict[str, Any]) -> dict[str, Any]:
        """This host's rows of a batch, as its part of the global batch."""

    def compile_train(self, step: Callable, state: Tree) -> Callable:
        """The train step over the devices. It donates the state it is given, and refuses to be compiled a second time."""

    def compile_eval(self, step: Callable, variables: Tree) -> Callable:
        """The eval step over the devices; its results are host arrays of the whole batch, over all hosts."""

    def compile_eval_on_devices(self, step: Callable, variables: Tree) -> Callable:
        """The eval step from a batch on the devices to results on the devices."""

    def metrics(self, metrics: Tree) -> Tree:
        """The metrics of a train step as host arrays."""

    def saved_form(self, state: Tree) -> Tree:
        """The state as checkpoints hold it, the same for every executor."""

    def from_saved_form(self, state: Tree) -> Tree:
        """The inverse of `saved_form`."""

    def to_host(self, tree: Tree) -> Tree:
        """Whole arrays of a tree as host arrays, on every host."""


def make_executor(config: ParallelConfig) -> Executor:
    """The executor that the config names.

    Raises:
      UserError: when the axes do not fit the devices.
    """
    return PmapExecutor(config) if config.mode == "pmap" else JitExecutor(config)


def wake(devices: Sequence[jax.Device]) -> None:
    """Begins to set devices up in a thread, which takes a GPU some two seconds; what uses one of them first waits for the rest of that.

    An error is not told: it comes again where the device is used.
    """

    def use() -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            jax.block_until_ready([jax.device_put(np.uint32(0), device) for device in devices])

    threading.Thread(target=use, name="waking devices", daemon=True).start()


def check_batch_size(batch_size: int, executor: Executor, *, accumulation: int = 1, field: str = "training.batch_size") -> None:
    """Refuses a global batch size that does not divide evenly.

    Raises:
      UserError: with the nearest sizes that do.
    """
    unit = executor.batch_shards * accumulation
    if batch_size % unit:
        below = batch_size // unit * unit
        nearest = " or ".join(str(size) for size in (below, below + unit) if size)
        over = f"{executor.batch_shards} devices" + (f" x {accumulation} microbatches" if accumulation > 1 else "")
        raise UserError(f"{field} {batch_size} cannot be divided over {over}: set it to {nearest}")


def traced_once(step: Callable) -> Callable:
    """The step, or an error where it is traced again: its batches or its state changed their shape, and each new one costs a compilation.

    (chex's counter goes by a function's name in the whole process, so that a second run in it would count as a second trace.)
    Under `jax.disable_jit` nothing is compiled, and each call is its own trace.
    """
    traces = itertools.count()

    @functools.wraps(step)
    def checked(*arguments: Any) -> Any:
        if next(traces) and not jax.config.jax_disable_jit:
            raise AssertionError(f"{step.__name__} is compiled a second time, for {jax.tree.map(jax.typeof, arguments)}")
        return step(*arguments)

    return checked


class JitExecutor:
    """jit with NamedSharding over a mesh of `data`, `fsdp` and `tensor`; the batch is divided over the first two."""

    axis_name = None

    def __init__(self, config: ParallelConfig) -> None:
        self.mesh = _mesh(config)
        self.local_devices = self.mesh.local_devices
        self.batch_shards = self.batch_parts = self.mesh.shape[DATA] * self.mesh.shape[FSDP]
        self._batch = NamedSharding(self.mesh, PartitionSpec((DATA, FSDP)))
        self._whole = NamedSharding(self.mesh, PartitionSpec())

    def place(self, create: Callable[[Tree], Tree], variables: Tree) -> Tree:
        shardings = shardings_of(jax.eval_shape(create, variables), self.mesh)
        made = jax.jit(create, out_shardings=shardings)(variables)
        return jax.device_put(made, shardings) if jax.config.jax_disable_jit else made

    def place_variables(self, variables: Tree) -> Tree:
        return self.place(lambda tree: tree, variables)

    def place_whole(self, value: np.generic) -> jax.Array:
        return self.place(lambda tree: tree, value)

    def gather(self, params: Tree) -> Tree:
        return gathered_over_fsdp(params, self.mesh)

    def to_devices(self, batch: dict[str, Any]) -> dict[str, Any]:
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self._batch, _narrow(x)), batch)

    def compile_train(self, step: Callable, state: Tree) -> Callable:
        shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
        return jax.jit(
            traced_once(step),
            in_shardings=(shardings, self._batch, self._whole),
            out_shardings=(shardings, self._whole),
            donate_argnums=0,
            compiler_options=_compiler_options(),
        )

    def compile_eval(self, step: Callable, variables: Tree) -> Callable:
        compiled = self.compile_eval_on_devices(step, variables)
        return lambda variables, batch: jax.device_get(compiled(variables, self.to_devices(batch)))

    def compile_eval_on_devices(self, step: Callable, variables: Tree) -> Callable:
        shardings = jax.tree.map(lambda leaf: leaf.sharding, variables)
        return jax.jit(
            traced_once(step),
            in_shardings=(shardings, self._batch),
            out_shardings=self._whole,
            compiler_options=_compiler_options(),
        )

    def metrics(self, metrics: Tree) -> Tree:
        return jax.device_get(metrics)

    def saved_form(self, state: Tree) -> Tree:
        return state

    def from_saved_form(self, state: Tree) -> Tree:
        return state

    def to_host(self, tree: Tree) -> Tree:
        if jax.process_count() > 1:
            return multihost_utils.process_allgather(tree, tiled=True)
        return jax.device_get(tree)


class PmapExecutor:
    """`jax.pmap` over all devices, each with a copy of the state and its part of the batch."""

    axis_name = "data"
    batch_parts = 1
    mesh = None

    def __init__(self, config: ParallelConfig) -> None:
        if jax.process_count() > 1 and config.data not in (-1, jax.device_count()):
            raise UserError(f"parallel.data {config.data} is not the {jax.device_count()} devices of all hosts, which pmap uses")
        self.local_devices = jax.local_devices()[: None if config.data == -1 or jax.process_count() > 1 else config.data]
        if jax.process_count() == 1 and config.data > len(self.local_devices):
            raise UserError(f"parallel.data {config.data} is more than the {len(self.local_devices)} devices there are")
        self.batch_shards = len(self.local_devices) * jax.process_count()
        self._rows = NamedSharding(Mesh(np.asarray(self.local_devices), ("data",)), PartitionSpec("data"))
        self._pmap_devices = None if jax.process_count() > 1 else self.local_devices

    def place(self, create: Callable[[Tree], Tree], variables: Tree) -> Tree:
        return self._replicate(jax.device_get(jax.jit(create)(variables)))

    def place_variables(self, variables: Tree) -> Tree:
        return self._replicate(variables)

    def place_whole(self, value: np.generic) -> jax.Array:
        return self._replicate(value)

    def gather(self, params: Tree) -> Tree:
        return params

    def to_devices(self, batch: dict[str, Any]) -> dict[str, Any]:
        count = len(self.local_devices)
        return jax.tree.map(lambda x: jax.device_put(_narrow(x).reshape(count, -1, *x.shape[1:]), self._rows), batch)

    def compile_train(self, step: Callable, state: Tree) -> Callable:
        del state
        return jax.pmap(traced_once(step), self.axis_name, devices=self._pmap_devices, donate_argnums=0)

    def compile_eval(self, step: Callable, variables: Tree) -> Callable:
        compiled = self.compile_eval_on_devices(step, variables)
        return lambda variables, batch: self.to_host(compiled(variables, self.to_devices(batch)))

    def compile_eval_on_devices(self, step: Callable, variables: Tree) -> Callable:
        del variables
        return jax.pmap(traced_once(step), self.axis_name, devices=self._pmap_devices)

    def metrics(self, metrics: Tree) -> Tree:
        return self.to_host(metrics)

    def saved_form(self, state: Tree) -> Tree:
        return self.to_host(state)

    def from_saved_form(self, state: Tree) -> Tree:
        return self._replicate(state)

    def to_host(self, tree: Tree) -> Tree:
        return jax.device_get(jax.tree.map(lambda x: x.addressable_shards[0].data[0], tree))

    def _replicate(self, tree: Tree) -> Tree:
        count = len(self.local_devices)
        return jax.tree.map(lambda x: jax.device_put(np.broadcast_to(np.asarray(x), (count, *np.shape(x))), self._rows), tree)


def _mesh(config: ParallelConfig) -> Mesh:
    inner = config.fsdp * config.tensor
    count = jax.device_count()
    data = max(count // inner, 1) if config.data == -1 else config.data
    if data * inner > count or (config.data == -1 and count % inner):
        raise UserError(
            f"parallel data {config.data} x fsdp {config.fsdp} x tensor {config.tensor} does not fit the {count} devices there are"
        )
    if jax.process_count() > 1 and (data * inner != count or jax.local_device_count() % config.tensor):
        raise UserError(
            f"over several hosts parallel data x fsdp x tensor must be all {count} devices, and tensor divide the "
            f"{jax.local_device_count()} of a host: got {data} x {config.fsdp} x {config.tensor}"
        )
    shape = (data, config.fsdp, config.tensor)
    # Auto axes: explicit ones, the default since jax 0.9, refuse the reshapes of a divided batch.
    return jax.make_mesh(shape, (DATA, FSDP, TENSOR), axis_types=(AxisType.Auto,) * 3, devices=jax.devices()[: data * inner])


def _compiler_options() -> dict[str, bool] | None:
    """Options for XLA on a GPU, where its defaults are slower; None elsewhere.

    Matrix products are all cuBLAS's, which adds biases and residuals as it writes; XLA's own Triton products leave them apart. 3-D
    convolutions keep the channels last, as 2-D ones do: XLA puts them first, and copies before and after (docs/resnet3d.md).
    """
    if jax.default_backend() != "gpu":
        return None
    return {"xla_gpu_enable_triton_gemm": False, "xla_gpu_force_conv_nhwc": True}


def _narrow(array: Any) -> np.ndarray:
    """64-bit integers as the 32-bit ones that devices hold."""
    array = np.asarray(array)
    return array.astype(np.int32) if array.dtype == np.int64 else array
