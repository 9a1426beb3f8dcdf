"""The convolution of R(2+1)D: over space and over time, one after the other."""

import flax.linen as nn
from jaxtyping import Array, Float

from vivit_jax.models.convolutional.batch_norm import BatchNorm
from vivit_jax.models.convolutional.computation import AS_WRITTEN, Computation
from vivit_jax.models.convolutional.convolution import Affine, Conv, Extents, normalised


class FactorisedConv(nn.Module):
    """The convolution of R(2+1)D: over space, a normalisation, then over time (Tran et al. 2018, Sec. 3.5).

    Attributes:
      middle: channels between the two.
      outputs: output channels.
      kernel: (t, h, w) that both span together.
      stride: (t, h, w) of both together.
      computation: how to compute it.
      axis_name: as in `BatchNorm`.
      frozen: as in `BatchNorm`.
      train: whether to normalise by the batch's statistics.
    """

    middle: int
    outputs: int
    kernel: Extents
    stride: Extents = (1, 1, 1)
    computation: Computation = AS_WRITTEN
    axis_name: str | None = None
    frozen: bool = False
    train: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"], folded: Affine | None = None) -> Float[Array, "b t2 h2 w2 d"]:
        """Both convolutions, with a normalisation and a ReLU between them; `folded` is as for `Conv`."""
        (time, *space), (step, *steps), how = self.kernel, self.stride, self.computation
        spatial = Conv(self.middle, (1, *space), (1, *steps), computation=how, widened=True, name="spatial")
        norm = BatchNorm(self.axis_name, self.frozen, self.middle, how.one_pass, name="norm")
        x = nn.relu(normalised(spatial, norm, x, how, train=self.train))
        return Conv(self.outputs, (time, 1, 1), (step, 1, 1), computation=how, inputs=self.middle, name="temporal")(x, folded)
