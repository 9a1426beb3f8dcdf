"""The names that torch's libraries have for the variables of a ResNet: a table for each kind, read in both directions.

Video ResNets have torchvision's names (`stem.0.weight`), image ResNets those of torchvision and timm (`conv1.weight`), which agree.
"""

from vivit_jax.models.resnet3d.config import Architecture
from vivit_jax.weights.torch_names import Table

BLOCK = r"stage_(\d)/block_(\d+)/"
SHORTCUT = (
    (BLOCK + r"conv_shortcut", "layer{0}.{1}.downsample.0"),
    (BLOCK + r"norm_shortcut", "layer{0}.{1}.downsample.1"),
)
HEAD = ((r"head", "fc"),)

# Our module and torch's; the last numbers are places in a `Sequential`, where ReLUs have a place too.
WHOLE: Table = (
    (r"stem/conv", "stem.0"),
    (r"stem/norm", "stem.1"),
    (BLOCK + r"conv_(\d)", "layer{0}.{1}.conv{2}.0"),
    (BLOCK + r"norm_(\d)", "layer{0}.{1}.conv{2}.1"),
    *SHORTCUT,
    *HEAD,
)
FACTORISED: Table = (
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
IMAGE: Table = (
    (r"stem/conv", "conv1"),
    (r"stem/norm", "bn1"),
    (BLOCK + r"conv_(\d)", "layer{0}.{1}.conv{2}"),
    (BLOCK + r"norm_(\d)", "layer{0}.{1}.bn{2}"),
    *SHORTCUT,
    *HEAD,
)


def table_of(plan: Architecture) -> Table:
    """The table of an architecture."""
    return IMAGE if plan.inflated else FACTORISED if plan.kinds[0] == "factorised" else WHOLE


def shape_in_torch(path: str, shape: tuple[int, ...], plan: Architecture) -> tuple[int, ...]:
    """The shape of one of our variables in torch's file; kernels of an image model have no time axis there."""
    if not path.endswith("kernel"):
        return shape
    return shape[::-1] if len(shape) == 2 else (shape[4], shape[3], *(shape[1:3] if plan.inflated else shape[:3]))
