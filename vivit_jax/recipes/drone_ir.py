"""What the recipes share that fine-tune an image ViT-S/14 on drone_ir, a small set of real clips."""

import ml_collections

from vivit_jax.config import base_config


def image_vit_on_drone_ir(name: str) -> ml_collections.ConfigDict:
    """Model 2 of ViT-S/14 on 16 frames of 98 pixels, trained on `train+val` and tested with 4 x 3 views.

    It has both splits because the set is short of flights, and because a linear probe that it is compared with has both. Nothing is
    evaluated before the end of a run, so that the test split chooses nothing.

    Args:
      name: the name of the run.
    """
    config = base_config()
    config.name = name

    config.model.factorisation = "factorised_encoder"
    config.model.size = "S"
    config.model.tubelet = (2, 14, 14)
    config.model.clip = (16, 98, 98)
    config.model.scan_layers = True
    config.model.dtype = "auto"
    # How the image weights were trained, which a file in Google's layout does not say.
    config.init.activation = "gelu"
    config.init.mean = (0.485, 0.456, 0.406)
    config.init.std = (0.229, 0.224, 0.225)
    config.init.position_resize = "cubic"

    config.data.name = "drone_ir"
    config.data.train_split = "train+val"
    config.data.val_split = None
    config.data.stride = 4
    config.data.cache_gigabytes = 1.0

    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.schedule.warmup_percent = 10.0
    config.training.batch_size = 32
    config.evaluation.test_views = (4, 3)
    config.checkpoint.every_percent = 100.0
    return config
