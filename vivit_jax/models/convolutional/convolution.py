"""Convolutions over time and space, channels last, computed as a `Computation` says."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.convolutional.batch_norm import BatchNorm
from vivit_jax.models.convolutional.channels import eights, widened
from vivit_jax.models.convolutional.computation import AS_WRITTEN, Computation
from vivit_jax.models.convolutional.shifts import sum_of_shifts

# He et al. 2015 by the output's fan, as in torchvision.
KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
HEAD_INIT = nn.initializers.normal(0.01)
PIXEL_CHANNELS = 3

Extents = tuple[int, int, int]
Padding = list[tuple[int, int]]
Affine = tuple[Float[Array, " d"], Float[Array, " d"]]


class Conv(nn.Module):
    """A convolution without a bias whose output has ceil(extent / stride) places along each axis.

    Its parameter `kernel` is (t, h, w, in, out) whichever way it is computed.

    Attributes:
      outputs: output channels.
      kernel: (t, h, w) extents of the kernel, all odd.
      stride: (t, h, w) from one place to the next.
      repeat_edges: whether to pad time by repeating the first and the last frame, or with zeros; height and width are padded with zeros.
      computation: how to compute it.
      inputs: input channels, where the features have more, of zeros; None is all that they have.
      widened: whether the output may have channels of zeros at its end, as `Computation.in_eights` asks.
    """

    outputs: int
    kernel: Extents
    stride: Extents = (1, 1, 1)
    repeat_edges: bool = False
    computation: Computation = AS_WRITTEN
    inputs: int | None = None
    widened: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"], folded: Affine | None = None) -> Float[Array, "b t2 h2 w2 d"]:
        """The convolution, in the type of its input; times the factor of each output channel, plus its offset, where they are given."""
        kernel = self.param("kernel", KERNEL_INIT, (*self.kernel, self.inputs or x.shape[-1], self.outputs))
        factor, offset = folded or (1.0, None)
        kernel = (kernel * factor if folded else kernel).astype(x.dtype)
        padding = [(extent // 2, extent // 2) for extent in self.kernel]
        if self.repeat_edges and self.kernel[0] > 1:
            x = jnp.pad(x, ((0, 0), padding[0], *((0, 0),) * 3), mode="edge")
            padding[0] = (0, 0)
        how, stride = self.computation, self.stride
        if how.in_blocks and x.shape[-1] == PIXEL_CHANNELS and stride[1:] == (2, 2) and not any(extent % 2 for extent in x.shape[2:4]):
            x, kernel, padding = _in_blocks(x, kernel, padding)
            stride = (stride[0], 1, 1)
        if how.in_eights and self.kernel != (1, 1, 1):
            x = widened(x, eights(x.shape[-1]))
            kernel = widened(kernel, eights(self.outputs) if self.widened else self.outputs)
        kernel = widened(kernel, x.shape[-1], axis=-2)
        if offset is not None:
            offset = widened(offset, kernel.shape[-1]).astype(x.dtype)
        return _computed(x, kernel, offset, stride, padding, as_2d=how.as_2d)


class DepthwiseConv(nn.Module):
    """A convolution of each channel alone, without a bias, whose output has ceil(extent / stride) places along each axis.

    Its parameter `kernel` is (t, h, w, 1, c).

    Attributes:
      kernel: (t, h, w) extents of the kernel, all odd.
      stride: (t, h, w) from one place to the next.
      as_shifts: whether to compute it as a sum of shifted features, each times its weight, or as a convolution.
    """

    kernel: Extents
    stride: Extents = (1, 1, 1)
    as_shifts: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"], folded: Affine | None = None) -> Float[Array, "b t2 h2 w2 c"]:
        """The convolution, in the type of its input; `folded` is as for `Conv`."""
        channels = x.shape[-1]
        kernel = self.param("kernel", KERNEL_INIT, (*self.kernel, 1, channels))
        factor, offset = folded or (1.0, None)
        kernel = (kernel * factor if folded else kernel).astype(x.dtype)
        if self.as_shifts:
            y = sum_of_shifts(x, kernel, self.stride)
        else:
            padding = [(extent // 2, extent // 2) for extent in self.kernel]
            y = _convolved(x, kernel, None, self.stride, padding, groups=channels)
        return y if offset is None else y + offset.astype(x.dtype)


def normalised(
    conv: Callable[..., Array], norm: BatchNorm, x: Float[Array, "b t h w c"], how: Computation, *, train: bool
) -> Float[Array, "b t2 h2 w2 d"]:
    """A convolution and the normalisation of its output; `conv` takes features, and factors and offsets as `Conv` does."""
    if not how.folded or train or norm.is_initializing():
        return norm(conv(x), train=train)
    return conv(x, norm.affine())


def _computed(x: Array, kernel: Array, offset: Array | None, stride: Extents, padding: Padding, *, as_2d: bool) -> Array:
    extents = kernel.shape[:3]
    if as_2d and extents == (1, 1, 1):
        step_t, step_h, step_w = stride
        return _plus(x[:, ::step_t, ::step_h, ::step_w] @ kernel[0, 0, 0], offset)
    if as_2d and extents[0] == 1 and stride[0] == 1:
        frames = _convolved(x.reshape(-1, *x.shape[2:]), kernel[0], offset, stride[1:], padding[1:])
        return frames.reshape(*x.shape[:2], *frames.shape[1:])
    if as_2d and extents[1:] == stride[1:] == (1, 1):
        b, t, h, w, c = x.shape
        pixels = _convolved(x.reshape(b, t, h * w, c), kernel[:, 0], offset, stride[:2], padding[:2])
        return pixels.reshape(b, -1, h, w, kernel.shape[-1])
    return _convolved(x, kernel, offset, stride, padding)


def _convolved(x: Array, kernel: Array, offset: Array | None, strides: tuple[int, ...], padding: Padding, *, groups: int = 1) -> Array:
    space = "THW"[-len(strides) :]
    layouts = (f"N{space}C", f"{space}IO", f"N{space}C")
    return _plus(jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layouts, feature_group_count=groups), offset)


def _plus(y: Array, offset: Array | None) -> Array:
    return y if offset is None else y + offset


def _in_blocks(x: Array, kernel: Array, padding: Padding) -> tuple[Array, Array, Padding]:
    """Features, kernel and padding of the same convolution over blocks of 2 x 2 pixels, whose stride is 1.

    A kernel begins `padding` pixels before its place, in the middle of a block if that is odd; zeros fill up its first and its last block.
    """
    b, t, h, w, c = x.shape
    x = x.reshape(b, t, h // 2, 2, w // 2, 2, c).transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, h // 2, w // 2, 4 * c)
    fronts = [before % 2 for before, _ in padding[1:]]
    backs = [(extent + front) % 2 for extent, front in zip(kernel.shape[1:3], fronts, strict=True)]
    kernel = jnp.pad(kernel, ((0, 0), *zip(fronts, backs, strict=True), (0, 0), (0, 0)))
    time, rows, columns, _, d = kernel.shape
    kernel = kernel.reshape(time, rows // 2, 2, columns // 2, 2, c, d).transpose(0, 1, 3, 2, 4, 5, 6)
    kernel = kernel.reshape(time, rows // 2, columns // 2, 4 * c, d)
    before = [(low + front) // 2 for (low, _), front in zip(padding[1:], fronts, strict=True)]
    after = [extent - 1 - low for extent, low in zip(kernel.shape[1:3], before, strict=True)]
    return x, kernel, [padding[0], *zip(before, after, strict=True)]
