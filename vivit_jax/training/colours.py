"""Colour jitter and greyscale of a batch, as in Scenic, on the device: on the host a clip's jitter took as long as its decoding.

How each clip's colours change is drawn with its other augmentations (`data.augment.colour`) and comes with the batch.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601

Channel = Float[Array, "b t h w"]
Pixels = tuple[Channel, Channel, Channel]


def seen_video(batch: dict[str, Any]) -> UInt8[Array, "b t h w 3"]:
    """The clips of a training batch in the colours that the model sees; as they are where the batch does not say how these change."""
    return recoloured(batch["video"], batch["colours"]) if "colours" in batch else batch["video"]


def recoloured(video: UInt8[Array, "b t h w 3"], colours: Float[Array, "b 5"]) -> UInt8[Array, "b t h w 3"]:
    """Clips in other colours. The result of the first four changes is rounded and cut to 0..255, and only then made grey.

    Args:
      video: the clips, 0..255.
      colours: each clip's changes, in Scenic's order: brightness, added to pixels in [0, 1]; a factor on the saturation, which stays at
        most 1; a factor on each channel's distance from its mean over the frame; hue, added, in turns of the colour wheel; whether it is
        grey.
    """
    brightness, saturation, contrast, hue, grey = (column[:, None, None, None] for column in colours.T)
    pixels = tuple(video[..., channel].astype(jnp.float32) / 255 + brightness for channel in range(3))
    pixels = _adjust_contrast(_adjust_saturation(pixels, saturation), contrast)
    levels = [jnp.round(255 * jnp.clip(channel, 0, 1)) for channel in _adjust_hue(pixels, hue)]
    luminance = jnp.round(sum(weight * channel for weight, channel in zip(LUMINANCE, levels, strict=True)))
    return jnp.stack([jnp.where(grey > 0, luminance, channel) for channel in levels], axis=-1).astype(jnp.uint8)


def _adjust_saturation(pixels: Pixels, factor: Array) -> Pixels:
    """Multiplies the saturation in HSV, (highest - lowest) / highest, by a factor."""
    highest, lowest = _extremes(pixels)
    spread = highest - lowest
    most = jnp.where((highest > 0) & (spread > 0), highest / spread, jnp.inf)
    return tuple(highest - (highest - channel) * jnp.minimum(factor, most) for channel in pixels)


def _adjust_contrast(pixels: Pixels, factor: Array) -> Pixels:
    """Multiplies the distance of each channel from its mean over the frame by a factor."""
    means = (channel.mean(axis=(2, 3), keepdims=True) for channel in pixels)
    return tuple(mean + (channel - mean) * factor for channel, mean in zip(pixels, means, strict=True))


def _adjust_hue(pixels: Pixels, turns: Array) -> Pixels:
    """Moves the hue in HSV along the colour wheel."""
    red, green, blue = pixels
    highest, lowest = _extremes(pixels)
    spread = highest - lowest
    # Compared in order: XLA may compute a channel twice, for itself and for the highest, and the two then differ in their last bit.
    is_red, above_blue = (red >= green) & (red >= blue), green >= blue
    sixths = jnp.where(is_red, green - blue, jnp.where(above_blue, blue - red, red - green))
    sixths = sixths / jnp.where(spread > 0, spread, 1)
    sixths += jnp.where(is_red, 0, jnp.where(above_blue, 2, 4)) + 6 * turns

    def channel(offset: int) -> Channel:
        place = (offset + sixths) % 6
        return highest - spread * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)

    return channel(5), channel(3), channel(1)


def _extremes(pixels: Pixels) -> tuple[Channel, Channel]:
    """The highest and the lowest channel of each pixel."""
    red, green, blue = pixels
    return jnp.maximum(jnp.maximum(red, green), blue), jnp.minimum(jnp.minimum(red, green), blue)
