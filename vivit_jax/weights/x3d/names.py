"""pytorchvideo's names for the variables of an X3D: one table, read in both directions."""

import re

from vivit_jax.weights.torch_names import Table

STEM, STAGES, NECK = "blocks.0", range(1, 5), "blocks.5"
BLOCK, THEIRS = r"stage_(\d)/block_(\d+)/", "blocks.{0}.res_blocks.{1}."

# Our module and theirs. The stem's two convolutions are swapped there: `conv_t` is the one over space.
TABLE: Table = (
    (r"stem/spatial", f"{STEM}.conv.conv_t"),
    (r"stem/temporal", f"{STEM}.conv.conv_xy"),
    (r"stem/norm", f"{STEM}.norm"),
    (BLOCK + r"conv_shortcut", THEIRS + "branch1_conv"),
    (BLOCK + r"norm_shortcut", THEIRS + "branch1_norm"),
    (BLOCK + r"conv_1", THEIRS + "branch2.conv_a"),
    (BLOCK + r"norm_1", THEIRS + "branch2.norm_a"),
    (BLOCK + r"conv_2", THEIRS + "branch2.conv_b"),
    (BLOCK + r"norm_2", THEIRS + "branch2.norm_b.0"),
    (BLOCK + r"squeeze/in", THEIRS + "branch2.norm_b.1.block.0"),
    (BLOCK + r"squeeze/out", THEIRS + "branch2.norm_b.1.block.2"),
    (BLOCK + r"conv_3", THEIRS + "branch2.conv_c"),
    (BLOCK + r"norm_3", THEIRS + "branch2.norm_c"),
    (r"neck/conv", f"{NECK}.pool.pre_conv"),
    (r"neck/norm", f"{NECK}.pool.pre_norm"),
    (r"neck/out", f"{NECK}.pool.post_conv"),
    (r"head", f"{NECK}.proj"),
)
# Our matrices that are 1x1x1 convolutions there.
CONVOLUTIONS_THERE = r".*squeeze/(in|out)/kernel|neck/out/kernel"


def shape_in_torch(path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one of our variables in their file."""
    if not path.endswith("kernel"):
        return shape
    if len(shape) == 2:
        return shape[::-1] + ((1, 1, 1) if re.fullmatch(CONVOLUTIONS_THERE, path) else ())
    return (shape[4], shape[3], *shape[:3])
