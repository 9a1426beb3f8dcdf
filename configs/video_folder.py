"""Your own clips: fine-tunes a ViViT on a data set made by `vivit prepare`, starting from an image ViT or another ViViT.

  vivit prepare folder my_videos --name my_videos --data_dir data
  python train.py --config=configs/video_folder.py --workdir=runs/mine --config.data.name=my_videos --config.data.data_dir=data \\
      --config.init.source=hf://google/vit-base-patch16-224-in21k

The argument is the backbone's size and patch, those of the source: `--config=configs/video_folder.py:S/16`. Without a source the model
starts from random weights, which asks for far more clips.
"""

import ml_collections

from vivit_jax.config import base_config
from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import SIZES


def get_config(backbone: str = "B/16") -> ml_collections.ConfigDict:
    size, _, patch = backbone.partition("/")
    if size not in SIZES or not patch.isdecimal():
        raise UserError(f"the backbone must be a size ({', '.join(SIZES)}) and a patch, such as S/16, got {backbone!r}")
    config = base_config()
    config.name = "video_folder"

    config.model.factorisation = "factorised_encoder"
    config.model.size = size
    config.model.tubelet = (2, int(patch), int(patch))
    config.model.clip = (16, 224 // int(patch) * int(patch), 224 // int(patch) * int(patch))
    config.model.stochastic_depth = 0.1
    config.model.dtype = "auto"

    config.data.name = ""  # which one has to be said
    config.data.stride = 2
    config.data.resize = 256
    config.augment.flip = 0.5  # 0 where left and right tell classes apart
    config.augment.scale_jitter = (0.9, 1.33)

    # Small sets: the layers that know images move little, the new ones fully.
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.layer_decay = 0.75
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.loss.label_smoothing = 0.1
    config.schedule.warmup_epochs = 2.5
    config.training.batch_size = 16
    config.training.epochs = 30.0
    config.evaluation.test_views = (4, 3)
    return config
