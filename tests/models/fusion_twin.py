"""The CNNs of Karpathy et al. 2014 in torch, written from the paper's description and sharing no code with ours.

Convolutions over several frames are three-dimensional ones here, and a late tower runs alone on its frame.
"""

import numpy as np
import torch
from torch.nn import functional

SLOW = {"conv1": (4, 2), "conv2": (2, 2), "conv3": (2, 1)}  # of ten frames: filters that span (frames), every (frames)


def same(x, size, stride):
    """Pads height and width so that ceil(side / stride) responses come out, the odd pixel at the end."""
    pads = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


def over_images(function, x):
    """Applies a function of images (n, c, h, w) to each time of (b, c, t, h, w)."""
    return torch.stack([function(x[:, :, t]) for t in range(x.shape[2])], dim=2)


def normalised(x):
    return functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)  # alpha is of the mean here


def stream(params, video, fusion, last_pool):
    """(b, c, t, h, w) after five convolutions."""
    spans = SLOW if fusion == "slow" else {"conv1": (video.shape[2], 1)} if fusion == "early" else {}
    x = video
    for name, size, stride, norm, pool in (
        ("conv1", 11, 3, True, True),
        ("conv2", 5, 1, True, True),
        ("conv3", 3, 1, False, False),
        ("conv4", 3, 1, False, False),
        ("conv5", 3, 1, False, last_pool),
    ):
        weight = params[name]["kernel"].permute(4, 3, 0, 1, 2)  # (out, in, t, h, w)
        step = spans.get(name, (1, 1))[1]
        x = functional.relu(functional.conv3d(same(x, size, stride), weight, params[name]["bias"], stride=(step, stride, stride)))
        x = over_images(normalised, x) if norm else x
        x = over_images(lambda image: functional.max_pool2d(image, 2, 2), x) if pool else x
    return x


def logits(params, video, fusion, multiresolution):
    """Class logits (b, classes) of a video (b, t, h, w, 3), from our parameters as a tree of tensors."""
    video = video.permute(0, 4, 1, 2, 3)
    if multiresolution:
        h, w = video.shape[3] // 2, video.shape[4] // 2
        top, left = (video.shape[3] - h) // 2, (video.shape[4] - w) // 2
        context = over_images(lambda image: functional.avg_pool2d(image, 2, 2), video)
        seen = {"context": context, "fovea": video[:, :, :, top : top + h, left : left + w]}
    else:
        seen = {"stream": video}
    maps = torch.cat([stream(params[name], frames, fusion, not multiresolution) for name, frames in seen.items()], dim=1)
    x = maps.permute(0, 2, 3, 4, 1).flatten(1)
    for name in ("fc6", "fc7"):
        x = functional.relu(functional.linear(x, params[name]["kernel"].T, params[name]["bias"]))
    return functional.linear(x, params["head"]["kernel"].T, params["head"]["bias"])


def as_tensors(params, *, grad=False):
    """A tree of arrays as one of tensors."""
    if isinstance(params, dict):
        return {name: as_tensors(child, grad=grad) for name, child in params.items()}
    return torch.tensor(np.asarray(params), requires_grad=grad)
