"""Convolutions over time and space, channels last; those whose kernel spans one frame or one pixel can be computed in 2-D."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.resnet3d.batch_norm import BatchNorm
from vivit_jax.models.resnet3d.config import Extents

# He et al. 2015 by the output's fan, as in torchvision.
KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Conv(nn.Module):
    """A convolution without a bias whose output has ceil(extent / stride) places along each axis.

    Its parameter `kernel` is (t, h, w, in, out) whichever way it is computed.

    Attributes:
      outputs: output channels.
      kernel: (t, h, w) extents of the kernel, all odd.
      stride: (t, h, w) from one place to the next.
      repeat_edges: whether to pad time by repeating the first and the last frame, or with zeros; height and width are padded with zeros.
      as_2d: compute it as a 2-D convolution or a matrix product where its kernel allows that.
    """

    outputs: int
    kernel: Extents
    stride: Extents = (1, 1, 1)
    repeat_edges: bool = False
    as_2d: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t2 h2 w2 d"]:
        """The convolution, in the type of its input."""
        kernel = self.param("kernel", KERNEL_INIT, (*self.kernel, x.shape[-1], self.outputs)).astype(x.dtype)
        padding = [(extent // 2, extent // 2) for extent in self.kernel]
        if self.repeat_edges and self.kernel[0] > 1:
            x = jnp.pad(x, ((0, 0), padding[0], *((0, 0),) * 3), mode="edge")
            padding[0] = (0, 0)
        if not self.as_2d:
            return _convolved(x, kernel, self.stride, padding)
        if self.kernel == (1, 1, 1):
            step_t, step_h, step_w = self.stride
            return x[:, ::step_t, ::step_h, ::step_w] @ kernel[0, 0, 0]
        if self.kernel[0] == 1 and self.stride[0] == 1:
            frames = _convolved(x.reshape(-1, *x.shape[2:]), kernel[0], self.stride[1:], padding[1:])
            return frames.reshape(*x.shape[:2], *frames.shape[1:])
        if self.kernel[1:] == self.stride[1:] == (1, 1):
            b, t, h, w, c = x.shape
            pixels = _convolved(x.reshape(b, t, h * w, c), kernel[:, 0], self.stride[:2], padding[:2])
            return pixels.reshape(b, -1, h, w, self.outputs)
        return _convolved(x, kernel, self.stride, padding)


class FactorisedConv(nn.Module):
    """The convolution of R(2+1)D: over space, a normalisation, then over time (Tran et al. 2018, Sec. 3.5).

    Attributes:
      middle: channels between the two.
      outputs: output channels.
      kernel: (t, h, w) that both span together.
      stride: (t, h, w) of both together.
      as_2d: as in `Conv`.
      axis_name: as in `BatchNorm`.
      frozen: as in `BatchNorm`.
    """

    middle: int
    outputs: int
    kernel: Extents
    stride: Extents = (1, 1, 1)
    as_2d: bool = False
    axis_name: str | None = None
    frozen: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"], *, train: bool) -> Float[Array, "b t2 h2 w2 d"]:
        """Both convolutions, with a normalisation and a ReLU between them."""
        (time, *space), (step, *steps) = self.kernel, self.stride
        x = Conv(self.middle, (1, *space), (1, *steps), as_2d=self.as_2d, name="spatial")(x)
        x = nn.relu(BatchNorm(self.axis_name, self.frozen, name="norm")(x, train=train))
        return Conv(self.outputs, (time, 1, 1), (step, 1, 1), as_2d=self.as_2d, name="temporal")(x)


def _convolved(x: Array, kernel: Array, strides: tuple[int, ...], padding: list[tuple[int, int]]) -> Array:
    space = "THW"[-len(strides) :]
    layouts = (f"N{space}C", f"{space}IO", f"N{space}C")
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layouts)
