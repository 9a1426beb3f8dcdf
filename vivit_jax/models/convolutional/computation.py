"""Ways to compute a CNN. All of them are the same function but for rounding, and take the same parameters."""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Computation:
    """Rearrangements that may make a network faster on a GPU; all False is the network as it is written.

    Attributes:
      as_2d: compute a convolution whose kernel spans one frame or one pixel as a 2-D convolution or a matrix product: cuDNN has better
        kernels for these.
      in_eights: widen features with channels of zeros to a multiple of 8, which tensor cores need; XLA does so for float16 alone.
      in_blocks: compute a convolution of stride 2 over pixels as one of stride 1 over blocks of 2 x 2 pixels, 12 channels instead of 3.
      one_pass: take mean and variance in one pass over the features, and the gradient of a normalisation in two.
      folded: outside training, multiply kernels by the factor of the normalisation that follows, so that only an addition is left of it,
        which cuDNN does as it writes.
    """

    as_2d: bool = False
    in_eights: bool = False
    in_blocks: bool = False
    one_pass: bool = False
    folded: bool = False


AS_WRITTEN = Computation()
IN_2D = Computation(as_2d=True)
FOR_GPUS = Computation(as_2d=True, in_eights=True, in_blocks=True, one_pass=True, folded=True)


def computation_of(convolutions: str) -> Computation:
    """The computation that a model's `convolutions` names: `3d` as written, `2d` for GPUs, `auto` the faster of the two on this device."""
    for_gpus = convolutions == "2d" or (convolutions == "auto" and jax.default_backend() == "gpu")
    return FOR_GPUS if for_gpus else AS_WRITTEN
