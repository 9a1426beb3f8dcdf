"""How a video becomes a model's input: the contract between weights, data and every command that feeds a model.

A `Preprocess` travels with the weights (`preprocess.json`), so that they are used as they were trained.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from vivit_jax.errors import UserError

HALF = (0.5, 0.5, 0.5)


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """Sampling, geometry and pixel normalisation of a model's clips.

    Attributes:
      frames: frames of a clip.
      stride: distance in source frames between two frames of a clip.
      resize: short side in pixels that a frame is scaled to before the crop.
      crop: (height, width) of the crop, in pixels.
      mean: per RGB channel, of pixels in [0, 1].
      std: per RGB channel, of pixels in [0, 1]. Mean and std of 0.5 give the original's range [-1, 1].
    """

    frames: int
    stride: int
    resize: int
    crop: tuple[int, int]
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF

    def __post_init__(self) -> None:
        for field in ("crop", "mean", "std"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if min(self.frames, self.stride, self.resize, *self.crop) < 1:
            raise UserError(f"frames, stride, resize and crop must be at least 1, got {self}")
        if len(self.crop) != 2 or len(self.mean) != 3 or len(self.std) != 3:
            raise UserError(f"crop must be (height, width), mean and std three numbers each, got {self}")
        if min(self.std) <= 0:
            raise UserError(f"std must be above 0, got {self.std}")

    def normalise(self, video: UInt8[Array, "*b t h w 3"], dtype: jnp.dtype = jnp.float32) -> Float[Array, "*b t h w 3"]:
        """Pixels 0..255 to the values the model was trained on. Runs on device, inside the step."""
        if video.dtype != jnp.uint8:
            raise UserError(f"video must be uint8 in 0..255, got {video.dtype}")
        scale = 1.0 / (255.0 * jnp.asarray(self.std, jnp.float32))
        shift = -jnp.asarray(self.mean, jnp.float32) / jnp.asarray(self.std, jnp.float32)
        return (video.astype(jnp.float32) * scale + shift).astype(dtype)

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return dataclasses.asdict(self) | {
            "crop": list(self.crop),
            "mean": list(self.mean),
            "std": list(self.std),
        }
