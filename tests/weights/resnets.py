"""torch's ResNets with nothing left at its default, and their files."""

import torch
from safetensors.torch import save_file
from torch import nn


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
