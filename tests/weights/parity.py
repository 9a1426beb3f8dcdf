"""What the tests of parity with transformers and timm share: models with random weights, and their logits as those of a ViViT."""

import jax
import numpy as np
import pytest

from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import ConversionOptions
from vivit_jax.weights.convert import convert
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.source import read_source

REASON = "parity needs the extra `parity`: pip install -e '.[parity]'"
torch = pytest.importorskip("torch", reason=REASON)
transformers = pytest.importorskip("transformers", reason=REASON)
timm = pytest.importorskip("timm", reason=REASON)

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def randomise(model, seed=0):
    """Every parameter random, so that nothing can hide behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + (parameter.ndim == 1) * 0.1)
    return model.eval()


def image_logits(path, image, classes, **init):
    """The image model run as a ViViT of one frame: tubelet of one frame, clip of one frame, joint attention."""
    height, width = image.shape[-2:]
    backbone = read_source(path, SourceOptions(num_heads=init.get("num_heads")))
    model = {
        "factorisation": "spatio_temporal_attention",
        "clip": (1, height, width),
        "tubelet": (1, *backbone.patch),
        "num_classes": classes,
    }
    pretrained = convert(path, model, InitConfig(**init), ConversionOptions(head="keep" if classes else "fresh")).pretrained
    video = image.numpy().transpose(0, 2, 3, 1)[:, None]
    return np.asarray(jax.jit(pretrained.model.apply)(pretrained.variables, video)), pretrained
