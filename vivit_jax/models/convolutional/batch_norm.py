"""Batch normalisation as in torch: it normalises by the batch's biased variance, and keeps the running variance of the unbiased one."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.errors import UserError
from vivit_jax.models.convolutional.channels import widened

EPSILON = 1e-5
MOMENTUM = 0.1  # the weight of the newest batch in the running statistics


class BatchNorm(nn.Module):
    """Normalises each channel by its mean and variance over all other axes.

    Parameters `scale` and `bias`; statistics `mean` and `var` in the collection `batch_stats`. All are float32, and so are the statistics
    of a batch. The variance is that of the differences from a mean (or, in one pass, from one of the channel's own values):
    E[x^2] - E[x]^2 loses its digits where the mean is large.

    Attributes:
      axis_name: the axis of `pmap` whose devices share the batch, None where one program sees all of it.
      frozen: whether training too normalises by the running statistics, and leaves them unchanged.
      channels: how many channels are normalised, where the input has more, of zeros, which stay zeros; None is all.
      one_pass: whether to read the input once for both statistics, and twice for the gradient. Not under `pmap`.
      scale_init: what `scale` starts as.
    """

    axis_name: str | None = None
    frozen: bool = False
    channels: int | None = None
    one_pass: bool = False
    scale_init: Callable[..., Array] = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Float[Array, "b *axes c"], *, train: bool) -> Float[Array, "b *axes c"]:
        """The normalised input, in the type of the input.

        Raises:
          UserError: in training, where a channel has a single value in the whole batch, which has no variance.
        """
        channels = self.channels or x.shape[-1]
        scale = widened(self.param("scale", self.scale_init, (channels,)), x.shape[-1])
        bias = widened(self.param("bias", nn.initializers.zeros, (channels,)), x.shape[-1])
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if not train or self.frozen:
            mean, var = widened(running_mean.value, x.shape[-1]), widened(running_var.value, x.shape[-1])
            return _normalised(x.astype(jnp.float32), scale, bias, mean, var).astype(x.dtype)
        count = x.size // x.shape[-1] * (jax.lax.axis_size(self.axis_name) if self.axis_name else 1)
        if count < 2:
            raise UserError(
                f"batch normalisation needs more than one value per channel to train, got features of shape {x.shape}: "
                "take larger batches or clips, or set model.frozen_statistics"
            )
        values = x.astype(jnp.float32)
        one_pass = self.one_pass and not self.axis_name
        y, mean, var = normalise_in_one_pass(x, scale, bias) if one_pass else (None, *self._statistics(values))
        if not self.is_initializing():
            running_mean.value += MOMENTUM * (mean[:channels] - running_mean.value)
            running_var.value += MOMENTUM * (var[:channels] * (count / (count - 1)) - running_var.value)
        return y if one_pass else _normalised(values, scale, bias, mean, var).astype(x.dtype)

    def affine(self) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """The factor and the offset of each channel that the running statistics amount to."""
        variance, mean = self.get_variable("batch_stats", "var"), self.get_variable("batch_stats", "mean")
        factor = self.get_variable("params", "scale") * jax.lax.rsqrt(variance + EPSILON)
        return factor, self.get_variable("params", "bias") - mean * factor

    def _statistics(self, values: Float[Array, "b *axes c"]) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """The mean and the biased variance of each channel over the whole batch."""
        axes = tuple(range(values.ndim - 1))

        def average(values: Array) -> Array:
            mean = values.mean(axis=axes)
            return jax.lax.pmean(mean, self.axis_name) if self.axis_name else mean

        mean = average(values)
        return mean, average(jnp.square(values - mean))


def _normalised(values: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Array:
    return (values - mean) * (scale * jax.lax.rsqrt(var + EPSILON)) + bias


@jax.custom_vjp
def normalise_in_one_pass(
    x: Float[Array, "b *axes c"], scale: Float[Array, " c"], bias: Float[Array, " c"]
) -> tuple[Float[Array, "b *axes c"], Float[Array, " c"], Float[Array, " c"]]:
    """The input normalised by its own statistics, and these: the mean and the biased variance, which pass no gradients on."""
    return _forward(x, scale, bias)[0]


def _forward(x: Array, scale: Array, bias: Array) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    axes, count = _places(x)
    values = x.astype(jnp.float32)
    # One of the channel's own values lies within a few deviations of the mean, however far that is from zero.
    origin = values[tuple(extent // 2 if axis else 0 for axis, extent in enumerate(x.shape[:-1]))]
    centred = values - origin
    first, second = centred.sum(axes) / count, jnp.square(centred).sum(axes) / count
    mean, var = origin + first, jnp.maximum(second - jnp.square(first), 0.0)
    y = _normalised(values, scale, bias, mean, var).astype(x.dtype)
    return (y, mean, var), (x, scale, mean, jax.lax.rsqrt(var + EPSILON))


def _backward(residuals: tuple[Array, ...], cotangents: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    x, scale, mean, inverse = residuals
    axes, count = _places(x)
    dy = cotangents[0].astype(jnp.float32)
    unit = (x.astype(jnp.float32) - mean) * inverse
    dbias, dscale = dy.sum(axes), (dy * unit).sum(axes)
    dx = (scale * inverse) * (dy - dbias / count - unit * (dscale / count))
    return dx.astype(x.dtype), dscale, dbias


normalise_in_one_pass.defvjp(_forward, _backward)


def _places(x: Array) -> tuple[tuple[int, ...], int]:
    """The axes that are not the channel's, and the number of values along them."""
    return tuple(range(x.ndim - 1)), math.prod(x.shape[:-1])
