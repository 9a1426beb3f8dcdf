"""Batch normalisation as in torch: it normalises by the batch's biased variance, and keeps the running variance of the unbiased one."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.errors import UserError

EPSILON = 1e-5
MOMENTUM = 0.1  # the weight of the newest batch in the running statistics


class BatchNorm(nn.Module):
    """Normalises each channel by its mean and variance over all other axes.

    Parameters `scale` and `bias`; statistics `mean` and `var` in the collection `batch_stats`. All are float32, and so are the statistics
    of a batch. The variance takes a second pass over the values: E[x^2] - E[x]^2 loses its digits where the mean is large.

    Attributes:
      axis_name: the axis of `pmap` whose devices share the batch, None where one program sees all of it.
      frozen: whether training too normalises by the running statistics, and leaves them unchanged.
    """

    axis_name: str | None = None
    frozen: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b *axes c"], *, train: bool) -> Float[Array, "b *axes c"]:
        """The normalised input, in the type of the input.

        Raises:
          UserError: in training, where a channel has a single value in the whole batch, which has no variance.
        """
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        values = x.astype(jnp.float32)
        if train and not self.frozen:
            count = x.size // x.shape[-1] * (jax.lax.axis_size(self.axis_name) if self.axis_name else 1)
            if count < 2:
                raise UserError(
                    f"batch normalisation needs more than one value per channel to train, got features of shape {x.shape}: "
                    "take larger batches or clips, or set model.frozen_statistics"
                )
            mean, var = self._statistics(values)
            if not self.is_initializing():
                running_mean.value += MOMENTUM * (mean - running_mean.value)
                running_var.value += MOMENTUM * (var * (count / (count - 1)) - running_var.value)
        else:
            mean, var = running_mean.value, running_var.value
        return ((values - mean) * (scale * jax.lax.rsqrt(var + EPSILON)) + bias).astype(x.dtype)

    def _statistics(self, values: Float[Array, "b *axes c"]) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        """The mean and the biased variance of each channel over the whole batch."""
        axes = tuple(range(values.ndim - 1))

        def average(values: Array) -> Array:
            mean = values.mean(axis=axes)
            return jax.lax.pmean(mean, self.axis_name) if self.axis_name else mean

        mean = average(values)
        return mean, average(jnp.square(values - mean))
