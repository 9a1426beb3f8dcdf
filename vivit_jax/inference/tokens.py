"""Frozen tokens of whole splits, for attentive probes: computed once, kept as float16 in a scratch file that memory need not hold."""

import contextlib
import dataclasses
import math
import os
import shutil
import tempfile
import typing
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vivit_jax import console
from vivit_jax.errors import UserError
from vivit_jax.files import writing
from vivit_jax.inference.finite import AT_FAULT
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.models.families import build
from vivit_jax.models.probe.config import ProbeConfig
from vivit_jax.models.probe.family import tokens_of
from vivit_jax.weights import Pretrained

LARGEST = 65504  # in float16


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of the videos of several splits, one split after the other.

    Attributes:
      values: float16 (n, v, tokens, d), in a file that is mapped into memory.
      index: (tokens,) the time index of each token; -1 for one of the whole clip.
      label: class numbers (n,), or (n, classes) of zeros and ones.
      names: the videos' names.
      counts: videos of each split.
    """

    values: np.ndarray
    index: np.ndarray
    label: np.ndarray
    names: tuple[str, ...]
    counts: tuple[int, ...]


@contextlib.contextmanager
def tokens_of_passes(config: ProbeConfig, passes: Sequence[SplitPass], *, progress: bool = True) -> Iterator[Tokens]:
    """The tokens that an attentive head of `config` sees. Their file lies in the system's folder for temporary files and goes with them.

    Args:
      config: the probe around the backbone, as `attentive_config` makes it.
      passes: passes of the backbone, `config.model`, over splits of one data set, with equal views and batch sizes.
      progress: whether to show progress bars.

    Raises:
      UserError: for a disk without room for the tokens, or a model that gives NaN.
    """
    first = passes[0]
    forward, batches = _Forward(config, first.pretrained), [one.batches() for one in passes]
    counts = tuple(one.examples for one in batches)
    shape = (sum(counts), first.views[0] * first.views[1], *forward.shape_of(first.batch_size))
    with _file_for(shape) as file:
        values = np.memmap(file, np.float16, "r+", shape=shape)
        labels, names = {}, []
        for split, of_split in zip((one.split for one in passes), batches, strict=True):
            start = len(names)
            for batch in console.tracked(of_split, f"tokens of {split}", len(of_split), shown=progress):
                valid = batch["valid"]
                rows = start + batch["index"][valid]
                labels |= dict(zip(rows.tolist(), batch["label"][valid], strict=True))
                for view in range(shape[1]):
                    values[rows, view] = _in_range(forward(batch["video"][:, view])[valid], split)
            names += [of_split.names[number] for number in range(of_split.examples)]
        label = np.stack([labels[row] for row in range(len(names))])
        yield Tokens(values, forward.index, label, tuple(names), counts)


class _Forward:
    """The backbone, from pixels to tokens.

    Attributes:
      index: (tokens,) the time index of each token, known once the forward pass is traced, for which `shape_of` is enough.
    """

    def __init__(self, config: ProbeConfig, backbone: Pretrained) -> None:
        self._config, self._preprocess, self._model = config, backbone.preprocess, build(config.model)
        self._variables, self._compiled = jax.device_put(backbone.variables), jax.jit(self._tokens)
        self.index = np.zeros(0, np.int32)

    def __call__(self, pixels: UInt8[np.ndarray, "b t h w 3"]) -> Float[np.ndarray, "b n d"]:
        """The tokens of clips."""
        return np.asarray(self._compiled(self._variables, pixels))

    def shape_of(self, batch_size: int) -> tuple[int, int]:
        """(n, d): tokens of a clip, and the size of each."""
        pixels = jax.ShapeDtypeStruct((batch_size, *self._config.clip, 3), jnp.uint8)
        return jax.eval_shape(self._compiled, self._variables, pixels).shape[1:]

    def _tokens(self, variables: dict, pixels: UInt8[Array, "b t h w 3"]) -> Float[Array, "b n d"]:
        video = self._preprocess.normalise(pixels)
        tokens, self.index = self._model.apply(variables, video, method=lambda module, video: tokens_of(self._config, module, video))
        return tokens


def _in_range(tokens: np.ndarray, split: str) -> np.ndarray:
    """The tokens, or an error where float16 does not hold them."""
    if not np.abs(tokens).max(initial=0) <= LARGEST:  # false for NaN too
        raise UserError(f"the model gives NaN or numbers above {LARGEST} for videos of {split}: {AT_FAULT}")
    return tokens


@contextlib.contextmanager
def _file_for(shape: tuple[int, ...]) -> Iterator[typing.IO[bytes]]:
    """A file without a name, which no killed process leaves behind, with its room on the disk set aside.

    Raises:
      UserError: for a disk without room.
      OSError: if the system gives none.
    """
    _check_room(shape)
    with tempfile.TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):  # else a disk that fills up meanwhile would end the process by SIGBUS
            with writing(tempfile.gettempdir()):
                os.posix_fallocate(file.fileno(), 0, 2 * math.prod(shape))
        yield file


def _check_room(shape: tuple[int, ...]) -> None:
    """Says how large the file is, or refuses it."""
    needed, free = 2 * math.prod(shape), shutil.disk_usage(tempfile.gettempdir()).free
    told = f"{shape[0]:,} videos x {shape[1]} views x {shape[2]:,} tokens x {shape[3]} take {needed / 1e9:.2g} GB as float16"
    if needed > 0.9 * free:
        raise UserError(
            f"{told}, and {tempfile.gettempdir()} has {free / 1e9:.2g} GB free: lower --patches or --views, or set TMPDIR to another folder"
        )
    console.say(f"{told}, in a file in {tempfile.gettempdir()}")
