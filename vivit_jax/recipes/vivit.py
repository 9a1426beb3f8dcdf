"""The recipes of ViViT (Arnab et al. 2021, Table 7): what they have in common on all data sets."""

import re

import ml_collections

from vivit_jax.config import base_config
from vivit_jax.errors import UserError, check_name
from vivit_jax.models.vivit.config import FACTORISATIONS, SIZES

# ImageNet-21K models of the sizes that the paper starts from.
IMAGE_MODELS = {
    "B/16": "hf://google/vit-base-patch16-224-in21k",
    "L/16": "hf://google/vit-large-patch16-224-in21k",
    "H/14": "hf://google/vit-huge-patch14-224-in21k",
}


def paper_recipe(name: str, model: str, *, learning_rate: float, epochs: float) -> ml_collections.ConfigDict:
    """The part of Table 7 that is the same for every data set.

    SGD with momentum 0.9, batches of 64, a cosine after 2.5 epochs of warm-up, flips, scale jitter, 32 frames at stride 2 of 224 pixels,
    and tests on 4 x 3 views (4 clips in time, 3 crops of each). Two things are not in the table but in Scenic's configurations: gradients
    are clipped to norm 1, and scale jitter draws a factor for height and another for width.

    The score is that of the last weights on the split `val`, as in the paper. That split is not evaluated during training, so that it
    cannot choose the weights; with `--config.data.val_split=val` it is evaluated after each epoch, and does choose them.

    Args:
      name: the name of the data set.
      model: size, patch and frames of a tubelet, then the factorisation by name or by the paper's number: `L/16x2,factorised_encoder` or
        `B/16x2,3`.
      learning_rate: the peak of the schedule.
      epochs: the length of the run.

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
    config.model.stochastic_depth = stochastic_depth
    config.augment.randaugment_layers = 2
    config.augment.randaugment_magnitude = magnitude
    config.loss.label_smoothing = label_smoothing
    config.training.mixup = mixup


def _parse(model: str) -> tuple[str, int, int, str]:
    """Size, patch, frames and factorisation of `B/16x2,factorised_encoder`."""
    match = re.fullmatch(r"(\w+)/(\d+)x(\d+),(\w+)", model)
    if match is None:
        raise UserError(f"the model must read like B/16x2,factorised_encoder, got {model}")
    size, patch, frames, factorisation = match.groups()
    check_name("size", size, SIZES)
    numbered = dict(enumerate(FACTORISATIONS, start=1))
    factorisation = numbered.get(int(factorisation), factorisation) if factorisation.isdigit() else factorisation
    check_name("factorisation", factorisation, FACTORISATIONS)
    return size, int(patch), int(frames), factorisation
