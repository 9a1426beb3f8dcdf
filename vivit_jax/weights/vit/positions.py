"""Learned positions: where the cls token's lies, which grid the others form, and resizing that grid in time and space."""

import math
from collections.abc import Sequence

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.weights.vit.backbone import SourceOptions, square_grid


def resize_positions(grid: np.ndarray, size: Sequence[int], method: str) -> np.ndarray:
    """Positions for another grid, each axis resized alone, whatever their number; an axis of length 1 is repeated.

    Args:
      grid: (n_1, ..., d) positions.
      size: the grid wanted, as many axes.
      method: `cubic`, PyTorch's bicubic (Keys' kernel with a = -0.75, pixel centres aligned, no smoothing), as DINO and Hugging Face
        use it; `cubic_antialiased`, PyTorch's with `antialias` (a = -0.5, and the kernel as wide as what it leaves out), as timm uses it;
        `linear`, linear interpolation with the corners aligned, as Google's ViT and Scenic use it; or `nearest`, as TimeSformer.
    """
    weights = METHODS[method]
    resized = grid.astype(np.float64)
    for axis, length in enumerate(size):
        if resized.shape[axis] != length:
            resized = np.moveaxis(np.tensordot(weights(resized.shape[axis], length), resized, (1, axis)), 0, axis)
    return resized.astype(np.float32)


def split_cls(rows: np.ndarray, has_cls: bool) -> tuple[np.ndarray | None, np.ndarray]:
    """(n, d) positions as that of the cls token, which comes first, and the others."""
    return (rows[0], rows[1:]) if has_cls else (None, rows)


def image_grid(count: int, patch: tuple[int, int], image_size: tuple[int, int] | None, name: str) -> tuple[int, int]:
    """(n_h, n_w) of an image model's `count` positions: by its image size, or square.

    Raises:
      UserError: if they do not fit, or are not square and the image size is not given.
    """
    if image_size is not None:
        grid = (image_size[0] // patch[0], image_size[1] // patch[1])
        if math.prod(grid) != count:
            raise UserError(
                f"{name}: image_size {tuple(image_size)} in patches of {tuple(patch)} is {grid[0]} x {grid[1]}, not {count} positions"
            )
        return grid
    grid = square_grid(count)
    if patch[0] != patch[1]:
        raise UserError(f"{name}: the grid of {count} patches of {tuple(patch)} pixels is not known: give image_size, (height, width)")
    if grid is None:
        raise UserError(f"{name}: {count} positions do not form a square: give image_size, the (height, width) they are for")
    return grid


def image_positions(
    rows: np.ndarray, has_cls: bool, patch: tuple[int, int], image_size: tuple[int, int] | None, name: str
) -> tuple[np.ndarray | None, np.ndarray]:
    """(n, d) positions of an image model as that of its cls token and a grid (1, n_h, n_w, d).

    Some models (timm's `no_embed_class`) have a cls token without a position, which is then zero.
    """
    without = has_cls and image_size is None and square_grid(len(rows)) and not square_grid(len(rows) - 1)
    without = without or (has_cls and image_size is not None and len(rows) == image_size[0] // patch[0] * (image_size[1] // patch[1]))
    cls_position, rows = split_cls(rows, has_cls and not without)
    grid = image_grid(len(rows), patch, image_size, name)
    return np.zeros_like(rows[0]) if without else cls_position, rows.reshape(1, *grid, -1)


def video_grid(count: int, tubelet: tuple[int, int, int], options: SourceOptions, name: str) -> tuple[int, int, int]:
    """(n_t, n_h, n_w) of a ViViT's `count` positions, by its clip: time and space cannot be told apart from their number.

    Args:
      count: positions.
      tubelet: (t, h, w); t is 1 where frames are sampled, and the frames sampled are then told from the count.
      options: with `clip`, or `target_clip` if that fits.
      name: the source, for the error.

    Raises:
      UserError: asking for the clip by name.
    """
    for clip in (options.clip, options.target_clip):
        if clip is None:
            continue
        n_h, n_w = clip[1] // tubelet[1], clip[2] // tubelet[2]
        n_t = clip[0] // tubelet[0] if not options.frames else count // (n_h * n_w) if n_h * n_w else 0
        if n_t * n_h * n_w == count:
            return n_t, n_h, n_w
        if clip is options.clip:
            raise UserError(f"{name}: a clip of {clip} in tubelets of {tubelet} has {n_t} x {n_h} x {n_w} positions, not the {count} here")
    raise UserError(
        f"{name}: how its {count} positions divide into time, height and width is not known: "
        f"give the clip it was trained on, as (frames, height, width), in tubelets of {tubelet}"
    )


def _linear(source: int, target: int) -> np.ndarray:
    """(target, source) weights of linear interpolation with the first and last points fixed."""
    at = np.linspace(0.0, source - 1.0, target) if target > 1 else np.zeros(1)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(source)))


def _cubic(source: int, target: int) -> np.ndarray:
    """(target, source) weights of cubic convolution about aligned pixel centres, edges repeated."""
    at = (np.arange(target) + 0.5) * source / target - 0.5
    weights = np.zeros((target, source))
    for offset in range(-1, 3):
        index = np.floor(at).astype(int) + offset
        np.add.at(weights, (np.arange(target), index.clip(0, source - 1)), _keys(np.abs(at - index), a=-0.75))
    return weights


def _cubic_antialiased(source: int, target: int) -> np.ndarray:
    """(target, source) weights of a cubic kernel that widens where the grid shrinks, cut off at the edges."""
    step = source / target
    distance = np.abs((np.arange(source) + 0.5) - (np.arange(target)[:, None] + 0.5) * step)
    weights = _keys(distance / max(step, 1.0), a=-0.5)
    return weights / weights.sum(axis=1, keepdims=True)


def _keys(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel at distances x >= 0."""
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _nearest(source: int, target: int) -> np.ndarray:
    """(target, source) weights that pick one position each, as PyTorch's `nearest` does."""
    return np.eye(source)[np.arange(target) * source // target]


METHODS = {"cubic": _cubic, "cubic_antialiased": _cubic_antialiased, "linear": _linear, "nearest": _nearest}
