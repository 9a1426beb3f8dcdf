"""What the recipes for clips of your own have in common."""

import ml_collections

from vivit_jax.config import base_config
from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import SIZES


def own_clips(name: str, backbone: str) -> ml_collections.ConfigDict:
    """What the configs for clips of your own share: 16 frames of about 224 pixels through Model 2, and AdamW with rates by layer.

    Half of the clips are mirrored, which is the default of `augment.flip`: set it to 0 where left and right tell classes apart.

    Args:
      name: the name of the run.
      backbone: size and patch, such as `B/16`.

    Raises:
      UserError: for a backbone that cannot be read.
    """
    size, _, patch = backbone.partition("/")
    if size not in SIZES or not patch.isdecimal():
        raise UserError(f"the backbone must be a size ({', '.join(SIZES)}) and a patch, such as S/16, got {backbone!r}")
    config = base_config()
    config.name = name

    config.model.factorisation = "factorised_encoder"
    config.model.size = size
    config.model.tubelet = (2, int(patch), int(patch))
    config.model.clip = (16, 224 // int(patch) * int(patch), 224 // int(patch) * int(patch))
    config.model.stochastic_depth = 0.1
    config.model.dtype = "auto"

    config.data.name = ""  # which one has to be said
    config.loss.label_smoothing = 0.1

    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.evaluation.test_views = (4, 3)
    return config
