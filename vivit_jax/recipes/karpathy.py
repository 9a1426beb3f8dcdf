"""The recipes of Karpathy et al. 2014: what they have in common on all data sets, and how networks are transferred to another set."""

import ml_collections

from vivit_jax.config import base_config
from vivit_jax.errors import UserError, check_name
from vivit_jax.models.fusion_cnn.config import FUSIONS

# What is trained of a network that comes from another data set (Karpathy et al. 2014, Sec. 4.2): the pattern of what stays as it is, and
# the rates of dropout. Where the top is trained alone, as few as one unit in ten is kept before its layers.
TRANSFERS = {
    "top_layer": ("conv|fc", (0.0, 0.9)),
    "top_3": ("conv", (0.9, 0.9)),
    "all": (None, (0.5, 0.5)),
    "scratch": (None, (0.5, 0.5)),
}
MULTIRESOLUTION = "multiresolution"
MEAN_PIXEL = 117 / 255  # the mean of all videos, which is subtracted from every pixel


def fusion_recipe(name: str, network: str) -> ml_collections.ConfigDict:
    """What Karpathy et al. 2014 do on every data set.

    SGD with momentum 0.9 in batches of 32, weight decay 5e-4, and a learning rate of 1e-3, which falls to a tenth when the run is half over
    and again at three quarters (the paper lowers it by hand, when validation stops improving). Frames of short side 200 are cropped at
    random, to 170 pixels or 178, and flipped. A video is judged by 20 clips of it, each seen four times: two crops, and each mirrored.

    Args:
      name: the name of the data set.
      network: `single_frame`, `early`, `late` or `slow`; `,multiresolution` may follow, as in `slow,multiresolution`.

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
      config: the recipe; its network must be that of `source`.
      how: what is trained: `top_layer` (the head), `top_3` (the fully connected layers and the head), `all`, or `scratch` (all of
        a network that starts from random weights).
      source: the other network's model directory.

    Raises:
      UserError: for an unknown `how`.
    """
    check_name("transfer", how, TRANSFERS)
    frozen, config.model.dropout = TRANSFERS[how]
    config.name = f"{config.name}_{how}"
    config.init.source = None if how == "scratch" else source
    config.optimizer.multipliers = () if frozen is None else ((frozen, 0.0),)


def _parse_network(network: str) -> tuple[str, bool]:
    """The fusion of `slow,multiresolution`, and whether it has two streams."""
    fusion, *others = network.split(",")
    check_name("fusion", fusion, FUSIONS)
    if others not in ([], [MULTIRESOLUTION]):
        raise UserError(f"the network must read like {fusion} or {fusion},{MULTIRESOLUTION}, got {network}")
    return fusion, bool(others)
