"""Makes a grid of tokens from a video (Sec. 3.2): tubelet embedding and uniform frame sampling."""

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from vivit_jax.models.kernels.shared_parameters import add_shared
from vivit_jax.models.vivit.config import ViViTConfig


class Tokenizer(nn.Module):
    """Embeds non-overlapping blocks of pixels, each by the same linear map.

    Parameters: `kernel` (t, h, w, 3, d) and `bias` (d); under uniform frame sampling t is 1.
    """

    config: ViViTConfig

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"]) -> Float[Array, "b n_t n_hw d"]:
        """Tokens in the order t, then h, then w."""
        config = self.config
        dtype = config.compute_dtype
        time, height, width = config.tubelet
        if config.tokenizer == "frames":
            video = video[:, uniform_frames(video.shape[1], config.grid[0])]
            time = 1
        kernel_init = nn.initializers.lecun_normal(in_axis=(0, 1, 2, 3), out_axis=4)
        kernel = self.param("kernel", kernel_init, (time, height, width, 3, config.hidden_size))
        bias = self.param("bias", nn.initializers.zeros, (config.hidden_size,))

        n_t, n_h, n_w = config.grid
        blocks = video.astype(dtype).reshape(-1, n_t, time, n_h, height, n_w, width, 3)
        # In the order of the kernel, so that one copy of the pixels serves both its product and its gradient.
        pixels = blocks.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, n_t, n_h * n_w, kernel.size // config.hidden_size)
        return add_shared(pixels @ kernel.astype(dtype).reshape(-1, config.hidden_size), bias)


def uniform_frames(frames: int, sampled: int) -> tuple[int, ...]:
    """Indices of `sampled` frames spread evenly inside a clip of `frames`, the ends left out.

    The steps are taken in float32 as in Scenic, so that its checkpoints see the frames they were trained on; where rounding yields one
    frame too many, the last one is left out.

    >>> uniform_frames(32, 4)
    (6, 13, 19, 26)
    """
    if sampled == frames:
        return tuple(range(frames))
    step = frames / (sampled + 1)
    positions = np.arange(step, frames, step, dtype=np.float32)[:sampled]
    return tuple(int(i) for i in np.minimum(np.rint(positions), frames - 1))
