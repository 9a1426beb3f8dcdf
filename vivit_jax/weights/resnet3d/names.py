"""What torch's libraries call the parameters of a ResNet: one table, read in both directions.

Video ResNets have torchvision's names (`stem.0.weight`), image ResNets those of torchvision and timm (`conv1.weight`), which agree.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from vivit_jax.models.resnet3d.config import Architecture
from vivit_jax.weights.layers import COLLECTION

STATISTICS = f"batch_stats{COLLECTION}"
COUNTER = "num_batches_tracked"
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}

BLOCK = r"stage_(\d)/block_(\d+)/"
SHORTCUT = (
    (BLOCK + r"conv_shortcut", "layer{0}.{1}.downsample.0"),
    (BLOCK + r"norm_shortcut", "layer{0}.{1}.downsample.1"),
)
HEAD = ((r"head", "fc"),)

# Our module and torch's; the last numbers are places in a `Sequential`, where ReLUs have a place too.
WHOLE = (
    (r"stem/conv", "stem.0"),
    (r"stem/norm", "stem.1"),
    (BLOCK + r"conv_(\d)", "layer{0}.{1}.conv{2}.0"),
    (BLOCK + r"norm_(\d)", "layer{0}.{1}.conv{2}.1"),
    *SHORTCUT,
    *HEAD,
)
FACTORISED = (
    (r"stem/conv/spatial", "stem.0"),
    (r"stem/conv/norm", "stem.1"),
    (r"stem/conv/temporal", "stem.3"),
    (r"stem/norm", "stem.4"),
    (BLOCK + r"conv_(\d)/spatial", "layer{0}.{1}.conv{2}.0.0"),
    (BLOCK + r"conv_(\d)/norm", "layer{0}.{1}.conv{2}.0.1"),
    (BLOCK + r"conv_(\d)/temporal", "layer{0}.{1}.conv{2}.0.3"),
    (BLOCK + r"norm_(\d)", "layer{0}.{1}.conv{2}.1"),
    *SHORTCUT,
    *HEAD,
)
IMAGE = (
    (r"stem/conv", "conv1"),
    (r"stem/norm", "bn1"),
    (BLOCK + r"conv_(\d)", "layer{0}.{1}.conv{2}"),
    (BLOCK + r"norm_(\d)", "layer{0}.{1}.bn{2}"),
    *SHORTCUT,
    *HEAD,
)


def torch_names(paths: Iterable[str], plan: Architecture) -> dict[str, str]:
    """Torch's name of each of our variables, by its path as `flatten_variables` gives it."""
    table = IMAGE if plan.inflated else FACTORISED if plan.kinds[0] == "factorised" else WHOLE
    return {path: _name(path, table) for path in paths}


def _name(path: str, table: tuple[tuple[str, str], ...]) -> str:
    module, _, leaf = path.removeprefix(STATISTICS).rpartition("/")
    for ours, theirs in table:
        if match := re.fullmatch(ours, module):
            return f"{theirs.format(*map(int, match.groups()))}.{LEAVES[leaf]}"
    raise AssertionError(f"no name for {path}")


def counters(names: Mapping[str, object] | Iterable[str]) -> list[str]:
    """The names of the counters of batches that torch keeps beside each running mean."""
    return [name.replace("running_mean", COUNTER) for name in names if name.endswith("running_mean")]


def to_torch(path: str, array: np.ndarray) -> np.ndarray:
    """One of our variables in torch's layout."""
    if not path.endswith("kernel"):
        return array
    return np.ascontiguousarray(array.T if array.ndim == 2 else array.transpose(4, 3, 0, 1, 2))


def shape_in_torch(path: str, shape: tuple[int, ...], plan: Architecture) -> tuple[int, ...]:
    """The shape of one of our variables in torch's file; kernels of an image model have no time axis there."""
    if not path.endswith("kernel"):
        return shape
    return shape[::-1] if len(shape) == 2 else (shape[4], shape[3], *(shape[1:3] if plan.inflated else shape[:3]))


def from_torch(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of torch's in our layout, of `shape`.

    An image model's kernel is repeated over time and divided by the number of frames (Carreau and Zisserman 2017).
    """
    if array.ndim == 2:
        return np.ascontiguousarray(array.T)
    if array.ndim == 5:
        return np.ascontiguousarray(array.transpose(2, 3, 4, 1, 0))
    if array.ndim == 4:
        return np.ascontiguousarray(np.broadcast_to(array.transpose(2, 3, 1, 0) / np.float32(shape[0]), shape))
    return array
