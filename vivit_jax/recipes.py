"""What the recipes of a paper have in common, for the configs of its data sets: of ViViT (Table 7), and of Karpathy et al. 2014."""

import re

import ml_collections

from vivit_jax.config import base_config
from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.fusion_cnn.config import FUSIONS
from vivit_jax.models.vivit.config import FACTORISATIONS, SIZES

# ImageNet-21K models of the sizes that the paper starts from.
IMAGE_MODELS = {
    "B/16": "hf://google/vit-base-patch16-224-in21k",
    "L/16": "hf://google/vit-large-patch16-224-in21k",
    "H/14": "hf://google/vit-huge-patch14-224-in21k",
}

# What is trained of a network that comes from another data set (Karpathy et al. 2014, Sec. 4.2): the pattern of what stays as it is, and
# the rates of dropout. Where the top is trained alone, as few as one unit in ten is kept before its layers.
TRANSFERS = {
    "top_layer": ("conv|fc", (0.0, 0.9)),
    "top_3": ("conv", (0.9, 0.9)),
    "all": (None, (0.5, 0.5)),
    "scratch": (None, (0.5, 0.5)),
}
MULTIRESOLUTION = "multiresolution"
MEAN_PIXEL = 117 / 255  # of all videos, which is taken from every pixel


def paper_recipe(name: str, model: str, *, learning_rate: float, epochs: float) -> ml_collections.ConfigDict:
    """The part of Table 7 that is the same for every data set.

    SGD with momentum 0.9, batches of 64, a cosine after 2.5 epochs of warm-up, flips, scale jitter, 32 frames at stride 2 of 224 pixels,
    and 4 x 3 views to be judged by. Of the original's configurations, what the table leaves out: gradients are clipped to norm 1, and
    scale jitter draws height and width each for itself.

    The score is that of the last weights on the split `val`, as the paper's is. It is not looked at before, so that it cannot choose them;
    `--config.data.val_split=val` shows it after each epoch, and then does.

    Args:
      name: of the data set.
      model: size, patch and frames of a tubelet, then the factorisation by name or by the paper's number: `L/16x2,factorised_encoder` or
        `B/16x2,3`.
      learning_rate: its peak.
      epochs: length of the run.

    Raises:
      UserError: for a model that cannot be read.
    """
    size, patch, frames, factorisation = _parse(model)
    config = base_config()
    config.name = f"{name}_{size}_{patch}x{frames}_{factorisation}"

    config.model.factorisation = factorisation
    config.model.size = size
    config.model.tubelet = (frames, patch, patch)
    config.model.clip = (32, 224, 224)
    config.model.dtype = "bfloat16"
    config.model.remat = size in ("L", "H")  # else the activations of a batch take hundreds of GB
    config.init.source = IMAGE_MODELS.get(f"{size}/{patch}")

    config.data.name = name
    config.data.val_split = None
    config.data.test_split = "val"
    config.data.stride = 2
    config.data.resize = 256
    config.augment.flip = 0.5
    config.augment.scale_jitter = (0.9, 1.33)
    config.augment.scale_jitter_independent = True

    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = learning_rate
    config.optimizer.momentum = 0.9
    config.optimizer.clip_norm = 1.0
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 2.5
    config.training.batch_size = 64
    config.training.epochs = epochs
    config.evaluation.test_views = (4, 3)
    return config


def add_colour(config: ml_collections.ConfigDict) -> None:
    """The colour jitter of Kinetics and Moments in Time."""
    config.augment.colour_jitter = 0.8
    config.augment.greyscale = 0.1


def add_regularisers(
    config: ml_collections.ConfigDict, *, magnitude: float, stochastic_depth: float, label_smoothing: float, mixup: float
) -> None:
    """What the smaller data sets need (Sec. 4.2, Table 4): two layers of RandAugment of this magnitude, and the other three."""
    config.augment.randaugment_layers = 2
    config.augment.randaugment_magnitude = magnitude
    config.model.stochastic_depth = stochastic_depth
    config.loss.label_smoothing = label_smoothing
    config.training.mixup = mixup


def fusion_recipe(name: str, network: str) -> ml_collections.ConfigDict:
    """What Karpathy et al. 2014 do on every data set.

    SGD with momentum 0.9 in batches of 32, weight decay 5e-4, and a learning rate of 1e-3, which falls to a tenth when the run is half over
    and again at three quarters (the paper lowers it by hand, when validation stops improving). Frames of short side 200 are cropped at
    random, to 170 pixels or 178, and flipped. A video is judged by 20 clips of it, each seen four times: two crops, and each mirrored.

    Args:
      name: of the data set.
      network: `single_frame`, `early`, `late` or `slow`, and maybe `multiresolution`: `slow,multiresolution`.

    Raises:
      UserError: for a network that cannot be read.
    """
    fusion, multiresolution = _parse_network(network)
    config = base_config("fusion_cnn")
    config.name = "_".join([name, fusion, *([MULTIRESOLUTION] if multiresolution else [])])
    config.model.fusion = fusion
    config.model.multiresolution = multiresolution

    config.data.name = name
    config.data.stride = 15 if fusion == "late" else 1
    config.data.resize = 200
    config.data.mean = (MEAN_PIXEL,) * 3
    config.augment.flip = 0.5

    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "step"
    config.schedule.milestones = (0.5, 0.75)
    config.schedule.drop = 0.1
    config.training.batch_size = 32
    config.evaluation.test_views = (20, 2)
    config.evaluation.test_flip = True
    config.evaluation.batch_size = 8
    return config


def transfer(config: ml_collections.ConfigDict, how: str, source: str) -> None:
    """Makes a `fusion_recipe` start from a network that was trained on another data set, with a new head.

    Args:
      config: of the same network.
      how: what is trained: `top_layer` (the head), `top_3` (the fully connected layers and the head), `all`, or `scratch`, all of a
        network that starts from random weights.
      source: the other network's model directory.

    Raises:
      UserError: for anything else.
    """
    if how not in TRANSFERS:
        raise unknown_name("transfer", how, TRANSFERS)
    frozen, config.model.dropout = TRANSFERS[how]
    config.name = f"{config.name}_{how}"
    config.init.source = None if how == "scratch" else source
    config.optimizer.multipliers = () if frozen is None else ((frozen, 0.0),)


def _parse_network(network: str) -> tuple[str, bool]:
    """The fusion of `slow,multiresolution`, and whether it has two streams."""
    fusion, *others = network.split(",")
    if fusion not in FUSIONS:
        raise unknown_name("fusion", fusion, FUSIONS)
    if others not in ([], [MULTIRESOLUTION]):
        raise UserError(f"the network must read like {fusion} or {fusion},{MULTIRESOLUTION}, got {network}")
    return fusion, bool(others)


def _parse(model: str) -> tuple[str, int, int, str]:
    """Size, patch, frames and factorisation of `B/16x2,factorised_encoder`."""
    match = re.fullmatch(r"(\w+)/(\d+)x(\d+),(\w+)", model)
    if match is None:
        raise UserError(f"the model must read like B/16x2,factorised_encoder, got {model}")
    size, patch, frames, factorisation = match.groups()
    if size not in SIZES:
        raise unknown_name("size", size, SIZES)
    numbered = dict(enumerate(FACTORISATIONS, start=1))
    factorisation = numbered.get(int(factorisation), factorisation) if factorisation.isdigit() else factorisation
    if factorisation not in FACTORISATIONS:
        raise unknown_name("factorisation", factorisation, FACTORISATIONS)
    return size, int(patch), int(frames), factorisation
