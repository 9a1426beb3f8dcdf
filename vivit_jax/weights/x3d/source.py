"""Recognises pytorchvideo's X3D by its names, and its architecture by its blocks."""

import re

from vivit_jax.console import first_of
from vivit_jax.errors import UserError
from vivit_jax.models.x3d.config import LARGE, SMALL
from vivit_jax.weights.config import Triple
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.x3d.names import NECK, STAGES, STEM

FORMAT = "pytorchvideo_x3d"
FORMATS = (FORMAT,)
MEAN: Triple = (0.45, 0.45, 0.45)
STD: Triple = (0.225, 0.225, 0.225)
FIRST = f"{STEM}.conv.conv_t.weight"
# XS, S and M are one network; of these the file cannot tell which it was.
ARCHITECTURES = {SMALL: ("x3d_s", "x3d_xs", "x3d_m"), LARGE: ("x3d_l",)}


def format_of(tensors: Tensors) -> str | None:
    """`pytorchvideo_x3d`, or None if it is not one."""
    return FORMAT if {FIRST, f"{STEM}.conv.conv_xy.weight"} <= set(tensors) else None


def read(tensors: Tensors, asked: str = "auto") -> Source:
    """Recognises the X3D in a file; `asked` is the format that the caller names, or `auto`.

    Raises:
      UserError: for a file of another format than asked for, or with other blocks than a published network.
    """
    if format_of(tensors) is None:
        raise UserError(f"{tensors.path}: not the names of pytorchvideo's X3D: {first_of(list(tensors), 4)}")
    if asked not in ("auto", *FORMATS):
        raise UserError(f"{tensors.path} is of format {FORMAT}, not {asked}: set format to {FORMAT} or auto")
    name = f"{tensors.path} ({FORMAT})"
    places = {(int(match[1]), int(match[2])) for tensor in tensors if (match := re.match(r"blocks\.(\d+)\.res_blocks\.(\d+)\.", tensor))}
    depths = tuple(sum(stage == at for at, _ in places) for stage in STAGES)
    if depths not in ARCHITECTURES:
        raise UserError(f"{name}: its stages have {depths} blocks, expected {SMALL} (XS, S and M) or {LARGE} (L)")
    head, first = tensors.shapes.get(f"{NECK}.proj.weight"), tensors.shapes[FIRST]
    if not first or (head is not None and not head):
        raise UserError(f"{name}: {FIRST} and {NECK}.proj.weight must be tensors of at least one axis")
    return Source(name, ARCHITECTURES[depths], first[0], head[0] if head else None, MEAN, STD, "pytorchvideo's", tensors)
