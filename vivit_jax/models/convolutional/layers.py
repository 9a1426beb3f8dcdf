"""The layers of one CNN, made with the settings that they all share."""

import functools

from vivit_jax.models.convolutional.batch_norm import BatchNorm
from vivit_jax.models.convolutional.computation import Computation
from vivit_jax.models.convolutional.convolution import Conv, normalised


class Layers:
    """Makes the layers of a network, and applies a convolution with its normalisation.

    Attributes:
      conv: makes a `Conv`.
      norm: makes a `BatchNorm`.
      normalised: `convolution.normalised`, with the settings of the network.
    """

    def __init__(self, how: Computation, axis_name: str | None, *, frozen: bool, train: bool) -> None:
        """`how` to compute, `axis_name` and `frozen` as in `BatchNorm`; in `train`ing the batch's statistics are taken."""
        self.conv = functools.partial(Conv, computation=how)
        self.norm = functools.partial(BatchNorm, axis_name, frozen, one_pass=how.one_pass)
        self.normalised = functools.partial(normalised, how=how, train=train)
