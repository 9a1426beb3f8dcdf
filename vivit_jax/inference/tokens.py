"""Frozen tokens of whole splits, for attentive probes: computed once, kept as float16 in a scratch file that memory need not hold."""

import contextlib
import dataclasses
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vivit_jax import console
from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.pipeline import evaluation_batches
from vivit_jax.errors import UserError
from vivit_jax.models.families import build
from vivit_jax.models.probe.config import ProbeConfig
from vivit_jax.models.probe.family import tokens_of
from vivit_jax.preprocess import Views
from vivit_jax.weights import Pretrained

LARGEST = 65504  # in float16


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The tokens of the videos of several splits, one split after the other.

    Attributes:
      values: float16 (n, v, tokens, d), in a file that is mapped into memory.
      index: (tokens,) the time index of each token; -1 for one of the whole clip.
      label: class numbers (n,), or (n, classes) of zeros and ones.
      names: of the videos.
      counts: videos of each split.
    """

    values: np.ndarray
    index: np.ndarray
    label: np.ndarray
    names: tuple[str, ...]
    counts: tuple[int, ...]


@contextlib.contextmanager
def tokens_of_splits(
    backbone: Pretrained,
    config: ProbeConfig,
    dataset: VideoDataset,
    splits: Sequence[str],
    *,
    views: Views = (1, 1),
    batch_size: int = 8,
    data: DataConfig | None = None,
    progress: bool = True,
) -> Iterator[Tokens]:
    """The tokens that an attentive head of `config` sees. Their file lies in the system's folder for temporary files and goes with them.

    Raises:
      UserError: for several heads, a disk without room for the tokens, or a model that gives NaN.
    """
    if isinstance(dataset.labels, Mapping):
        raise UserError(f"kind attentive is for one head, but the data set has {', '.join(dataset.labels)}: use --kind linear")
    data = data or DataConfig()
    model, index = build(config.model), []

    @jax.jit
    def forward(variables: dict, pixels: UInt8[Array, "b t h w 3"]) -> Float[Array, "b n d"]:
        video = backbone.preprocess.normalise(pixels)
        tokens, times = model.apply(variables, video, method=lambda module, video: tokens_of(config, module, video))
        index[:] = [times]  # known once the program is traced
        return tokens

    variables = jax.device_put(backbone.variables)
    batches = [evaluation_batches(dataset, split, backbone.preprocess, data, views=views, batch_size=batch_size) for split in splits]
    counts = tuple(one.examples for one in batches)
    pixels = jax.ShapeDtypeStruct((batch_size, *config.clip, 3), jnp.uint8)
    shape = (sum(counts), views[0] * views[1], *jax.eval_shape(forward, variables, pixels).shape[1:])
    with tempfile.TemporaryDirectory(prefix="vivit-tokens-") as folder:
        _check_room(folder, shape)
        values = np.memmap(f"{folder}/tokens", np.float16, "w+", shape=shape)
        labels, names = {}, []
        for split, of_split in zip(splits, batches, strict=True):
            start = len(names)
            for batch in console.tracked(of_split, f"tokens of {split}", len(of_split), shown=progress):
                valid = batch["valid"]
                rows = start + batch["index"][valid]
                labels |= dict(zip(rows.tolist(), batch["label"][valid], strict=True))
                for view in range(shape[1]):
                    values[rows, view] = _in_range(np.asarray(forward(variables, batch["video"][:, view]))[valid], split)
            names += [of_split.names[number] for number in range(of_split.examples)]
        label = np.stack([labels[row] for row in range(len(names))])
        yield Tokens(values, index[0], label, tuple(names), counts)


def _in_range(tokens: np.ndarray, split: str) -> np.ndarray:
    """The tokens, or an error where float16 does not hold them."""
    if not np.abs(tokens).max(initial=0) <= LARGEST:  # false for NaN too
        raise UserError(f"the model gives NaN or numbers above {LARGEST} for videos of {split}: its weights or its dtype are at fault")
    return tokens


def _check_room(folder: str, shape: tuple[int, ...]) -> None:
    """Says how large the file is, or refuses it."""
    needed, free = 2 * math.prod(shape), shutil.disk_usage(folder).free
    told = f"{shape[0]:,} videos x {shape[1]} views x {shape[2]:,} tokens x {shape[3]} take {needed / 1e9:.2g} GB as float16"
    if needed > 0.9 * free:
        raise UserError(
            f"{told}, and {tempfile.gettempdir()} has {free / 1e9:.2g} GB free: lower --patches or --views, or set TMPDIR to another folder"
        )
    console.say(f"{told}, in a file in {tempfile.gettempdir()}")
