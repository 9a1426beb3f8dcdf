"""How a video becomes a model's input: the contract between weights, data and every command that feeds a model.

A `Preprocess` travels with the weights (`preprocess.json`), so that they are used as they were trained.
"""

import dataclasses
import math
import numbers
import typing

from vivit_jax.errors import UserError, check_name

if typing.TYPE_CHECKING:  # processes that only decode videos do not import JAX
    import jax.numpy as jnp
    from jaxtyping import Array, Float, UInt8

HALF = (0.5, 0.5, 0.5)

# (temporal clips, spatial crops): a view is one crop of one clip of a video, and the logits of all views are averaged.
Views = tuple[int, int]

SAMPLINGS, PADDINGS = ("dense", "segments"), ("loop", "hold")

LARGEST_SCALE = 1e6  # of the larger of 1 and |mean|, divided by std; pixels left in 0..255 have 255
LARGEST_RATE = 1000  # frames a second
LARGEST_RESIZE = 16  # times the crop: a file that asks for more is after memory


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """Sampling, geometry and pixel normalisation of a model's clips.

    Attributes:
      frames: frames of a clip.
      stride: distance in source frames between two frames of a clip.
      resize: short side in pixels that a frame is scaled to before the crop.
      crop: (height, width) of the crop, in pixels.
      mean: the mean of each RGB channel, for pixels in [0, 1].
      std: the standard deviation of each RGB channel, for pixels in [0, 1]. Mean and std of 0.5 give Scenic's range [-1, 1].
      rate: frames a second of a clip, whatever those of its video; if given, it replaces `stride`.
      sampling: `dense`, frames `stride` or 1 / `rate` apart; or `segments`, one of each of as many equal parts of the whole video.
      padding: what a video shorter than a clip does: `loop` or `hold` its last frame.
    """

    frames: int
    stride: int
    resize: int
    crop: tuple[int, int]
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF
    rate: float | None = None
    sampling: str = "dense"
    padding: str = "loop"

    def __post_init__(self) -> None:
        for field in ("crop", "mean", "std"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        sizes = f"frames {self.frames!r}, stride {self.stride!r}, resize {self.resize!r}, crop {self.crop!r}"
        for value in (self.frames, self.stride, self.resize, *self.crop):
            if not isinstance(value, numbers.Integral) or isinstance(value, bool):
                raise UserError(f"frames, stride, resize and crop must be whole numbers, got {value!r}")
        for value in (*self.mean, *self.std):
            if not isinstance(value, numbers.Real) or not math.isfinite(value):
                raise UserError(f"mean and std must be finite numbers, got {value!r}")
        if min(self.frames, self.stride, self.resize, *self.crop) < 1:
            raise UserError(f"frames, stride, resize and crop must be at least 1, got {sizes}")
        if len(self.crop) != 2 or len(self.mean) != 3 or len(self.std) != 3:
            raise UserError(
                f"crop must be (height, width), mean and std three numbers each, got crop {self.crop}, mean {self.mean}, std {self.std}"
            )
        if self.resize > LARGEST_RESIZE * max(self.crop):
            raise UserError(f"resize must be at most {LARGEST_RESIZE} times the crop, got {self.resize} for a crop of {self.crop}")
        if min(self.std) <= 0:
            raise UserError(f"std must be above 0, got {self.std}")
        check_sampling(self.rate, self.sampling, self.padding)
        if max(1, *map(abs, self.mean)) / min(self.std) > LARGEST_SCALE:
            raise UserError(f"mean and std must be of pixels in [0, 1], got {self.mean} and {self.std}")

    @property
    def clip_bytes(self) -> int:
        """Bytes of a clip as uint8 (t, h, w, 3)."""
        return 3 * self.frames * math.prod(self.crop)

    def normalise(self, video: "UInt8[Array, '*b t h w 3']", dtype: "jnp.dtype | None" = None) -> "Float[Array, '*b t h w 3']":
        """Maps pixels in 0..255 to the values the model was trained on. Runs on the device, inside the step.

        Args:
          video: uint8 (..., t, h, w, 3).
          dtype: the type of the result, which has the video's shape; None is float32.

        Raises:
          UserError: for a video that is not uint8.
        """
        import jax.numpy as jnp

        if video.dtype != jnp.uint8:
            raise UserError(f"video must be uint8 in 0..255, got {video.dtype}")
        scale = 1.0 / (255.0 * jnp.asarray(self.std, jnp.float32))
        shift = -jnp.asarray(self.mean, jnp.float32) / jnp.asarray(self.std, jnp.float32)
        return (video.astype(jnp.float32) * scale + shift).astype(dtype or jnp.float32)

    def to_dict(self) -> dict:
        """Plain values for JSON. The last three fields are there only where they are not the defaults: older versions do not know them."""
        values = dataclasses.asdict(self) | {
            "crop": list(self.crop),
            "mean": list(self.mean),
            "std": list(self.std),
        }
        defaults = {name: getattr(Preprocess, name) for name in ("rate", "sampling", "padding")}
        return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def check_sampling(rate: object, sampling: object, padding: object) -> None:
    """Refuses values of `rate`, `sampling` and `padding` that a `Preprocess` or `DataConfig` cannot have.

    Raises:
      UserError: naming the field.
    """
    is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool) and math.isfinite(rate)
    if rate is not None and not (is_number and 0 < rate <= LARGEST_RATE):
        raise UserError(f"rate must be frames a second, above 0 and at most {LARGEST_RATE}, or None, got {rate!r}")
    check_name("sampling", sampling, SAMPLINGS)
    check_name("padding", padding, PADDINGS)
