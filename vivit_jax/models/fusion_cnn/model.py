"""The CNNs of Karpathy et al. 2014: streams of five convolutions, two fully connected layers, and a head.

The fusions differ only in the frames that a filter spans (`FusionCNNConfig.spans`). A filter over several frames is computed as a filter
over one image that has the channels of all those frames, so that every convolution is 2-D.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.clips import check_video
from vivit_jax.models.fusion_cnn.config import CONVOLUTIONS, FusionCNNConfig
from vivit_jax.models.head import Logits, classified

# Of response normalisation (Krizhevsky et al. 2012, Sec. 3.3), which Karpathy et al. 2014 keep.
K, WINDOW, ALPHA, BETA = 2.0, 5, 1e-4, 0.75


class FusionCNN(nn.Module):
    """A CNN of one of the paper's fusions.

    Parameters: `stream`, or `context` and `fovea`, with `conv1` to `conv5`; `fc6`, `fc7`; `head`, or `head_<name>` for each of several.
    """

    config: FusionCNNConfig

    @nn.compact
    def __call__(self, video: Float[Array, "b t h w 3"], *, train: bool = False) -> Logits:
        """Class logits in float32.

        Args:
          video: clips of `config.clip`, normalised as the weights were trained: [-1, 1] unless they say otherwise.
          train: whether to draw dropout, from the rng `dropout`.

        Returns:
          (b, classes); a dict of these by name for several heads; (b, hidden) features for none.

        Raises:
          UserError: for a video of another shape or type, or with pixels that are not normalised, which only a call outside `jit` can see.
        """
        config = self.config
        check_video(video, config.clip)
        video = video.astype(config.compute_dtype)
        seen = {"context": context_of(video), "fovea": fovea_of(video)} if config.multiresolution else {"stream": video}
        maps = jnp.concatenate([Stream(config, name=name)(frames) for name, frames in seen.items()], axis=-1)
        features = maps.reshape(maps.shape[0], -1)
        for name, units, dropout in zip(("fc6", "fc7"), config.hidden, config.dropout, strict=True):
            features = nn.relu(nn.Dense(units, dtype=config.compute_dtype, kernel_init=nn.initializers.he_normal(), name=name)(features))
            features = nn.Dropout(dropout, deterministic=not train)(features)
        return classified(features.astype(jnp.float32), config.heads, nn.initializers.zeros)


class Stream(nn.Module):
    """The five convolutions, each with a ReLU, and the normalisation and pooling that follow some of them."""

    config: FusionCNNConfig

    @nn.compact
    def __call__(self, frames: Float[Array, "b t h w 3"]) -> Float[Array, "b n h2 w2 c"]:
        """The last maps of a stream, n of them along time."""
        config, x = self.config, frames
        for number, (layer, filters, (span, step)) in enumerate(zip(CONVOLUTIONS, config.filters, config.spans, strict=True), start=1):
            x = nn.relu(SpanningConvolution(filters, layer.size, layer.stride, span, step, name=f"conv{number}")(x))
            x = response_normalisation(x) if layer.normalised else x
            x = pooled(x) if config.pools(layer) else x
        self.sow("intermediates", "maps", x)
        return x


class SpanningConvolution(nn.Module):
    """A convolution whose filters span several frames and move along time.

    Height and width have `SAME` padding, time has none.

    Attributes:
      features: the number of filters.
      size: height and width of a filter, in pixels.
      stride: from one response to the next, in pixels.
      span: frames that a filter spans.
      step: frames from one response to the next.
    """

    features: int
    size: int
    stride: int
    span: int
    step: int

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b n h2 w2 f"]:
        """The responses; `kernel` is (span, size, size, c, f)."""
        b, t, h, w, c = x.shape
        kernel = self.param("kernel", nn.initializers.he_normal(), (self.span, self.size, self.size, c, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        last = t - self.span
        n = last // self.step + 1
        spanned = jnp.concatenate([x[:, i : last + i + 1 : self.step] for i in range(self.span)], axis=-1)
        filters = kernel.astype(x.dtype).transpose(1, 2, 0, 3, 4).reshape(self.size, self.size, self.span * c, self.features)
        responses = jax.lax.conv_general_dilated(
            spanned.reshape(b * n, h, w, self.span * c),
            filters,
            (self.stride, self.stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return (responses + bias.astype(x.dtype)).reshape(b, n, *responses.shape[1:])


@jax.checkpoint  # else its float32 squares and sums would be most of what is kept for the backward pass
def response_normalisation(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """Across channels: x / (K + ALPHA * sum of squares over the WINDOW channels around each)^BETA, computed in float32, in the type of `x`.

    ALPHA multiplies the sum, as in the paper. In `torch.nn.LocalResponseNorm` it multiplies the mean: pass it WINDOW * ALPHA there.
    """
    channels, reach = x.shape[-1], WINDOW // 2
    values = x.astype(jnp.float32)
    padded = jnp.pad(jnp.square(values), [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    total = sum(padded[..., i : i + channels] for i in range(WINDOW))
    root = jax.lax.rsqrt(K + ALPHA * total)
    return (values * root * jnp.sqrt(root)).astype(x.dtype)  # root^1.5 is the power -BETA


def context_of(video: Float[Array, "b t h w c"]) -> Float[Array, "b t h/2 w/2 c"]:
    """The frames at half their size: the mean of each 2 x 2 pixels."""
    return _blocks(video).mean((3, 5))


def fovea_of(video: Float[Array, "b t h w c"]) -> Float[Array, "b t h/2 w/2 c"]:
    """The central half of the frames each way, at their own size."""
    height, width = video.shape[2:4]
    h, w = height // 2, width // 2
    top, left = (height - h) // 2, (width - w) // 2
    return video[:, :, top : top + h, left : left + w]


def pooled(x: Float[Array, "b n h w c"]) -> Float[Array, "b n h/2 w/2 c"]:
    """The largest of each 2 x 2; an odd last row or column is left out. The gradient is much cheaper than `nn.max_pool`'s."""
    return _blocks(x).max((3, 5))


def _blocks(x: Float[Array, "b n h w c"]) -> Float[Array, "b n h/2 2 w/2 2 c"]:
    b, n, h, w, c = x.shape
    return x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(b, n, h // 2, 2, w // 2, 2, c)
