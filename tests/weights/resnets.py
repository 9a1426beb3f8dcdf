"""torch's ResNets with nothing left at its default, and their files."""

import functools

import pytest

torch = pytest.importorskip("torch", reason="parity needs the extra `parity`: pip install -e '.[parity]'")
torchvision = pytest.importorskip("torchvision", reason="parity needs the extra `parity`: pip install -e '.[parity]'")

from safetensors.torch import load_file, save_file  # noqa: E402 (it needs torch)
from torch import nn  # noqa: E402
from torchvision.models.video import resnet as video  # noqa: E402

__all__ = ["NarrowResNet", "clips", "load_file", "randomise", "torch", "torchvision", "write"]

CONVOLUTIONS = {
    "r3d_18": [video.Conv3DSimple] * 4,
    "mc3_18": [video.Conv3DSimple] + [video.Conv3DNoTemporal] * 3,
    "r2plus1d_18": [video.Conv2Plus1D] * 4,
}


class NarrowResNet(video.VideoResNet):
    """torchvision's own blocks at an eighth of their width."""

    def __init__(self, architecture, classes):
        stem = functools.partial(_narrow, video.R2Plus1dStem if architecture == "r2plus1d_18" else video.BasicStem)
        super().__init__(video.BasicBlock, CONVOLUTIONS[architecture], [2, 2, 2, 2], stem, num_classes=classes)
        self.fc = nn.Linear(64, classes)

    def _make_layer(self, block, conv_builder, planes, blocks, stride=1):
        self.inplanes = 8 if planes == 64 else self.inplanes
        return super()._make_layer(block, conv_builder, planes // 8, blocks, stride)


def _narrow(make_stem):
    """A stem of torchvision's with an eighth of the channels, those of the pixels excepted."""
    layers = [
        nn.BatchNorm3d(layer.num_features // 8)
        if isinstance(layer, nn.BatchNorm3d)
        else nn.Conv3d(
            layer.in_channels if layer.in_channels == 3 else layer.in_channels // 8,
            layer.out_channels // 8,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            bias=False,
        )
        if isinstance(layer, nn.Conv3d)
        else layer
        for layer in make_stem()
    ]
    return nn.Sequential(*layers)


def randomise(model, seed=0):
    """Every parameter and running statistic random, so that nothing can hide behind a zero or a one; in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                for values in (module.weight, module.running_var):
                    values.copy_(0.5 + torch.rand(values.shape, generator=generator))
                for values in (module.bias, module.running_mean):
                    values.copy_(0.2 * torch.randn(values.shape, generator=generator))
            elif isinstance(module, nn.Linear):
                module.weight.copy_(0.05 * torch.randn(module.weight.shape, generator=generator))
                module.bias.copy_(0.1 * torch.randn(module.bias.shape, generator=generator))
            elif isinstance(module, nn.Conv2d | nn.Conv3d):
                scale = (2 / module.weight[0].numel()) ** 0.5
                module.weight.copy_(scale * torch.randn(module.weight.shape, generator=generator))
                if module.bias is not None:
                    module.bias.copy_(0.1 * torch.randn(module.bias.shape, generator=generator))
    return model.eval()


def write(model, path):
    """The state dict as a file of the kind that `path` ends with."""
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    else:
        torch.save(model.state_dict(), path)
    return path


def clips(shape, seed=0):
    """Normalised clips (b, t, h, w, 3), and the same as torch has them (b, 3, t, h, w)."""
    video = torch.randn((*shape, 3), generator=torch.Generator().manual_seed(seed))
    return video.numpy(), video.permute(0, 4, 1, 2, 3)
