"""For thousands of clips of your own: fine-tunes a ViViT on a data set made by `vivit prepare`, from an image ViT or another ViViT.

  vivit prepare folder my_videos --name my_videos --data_dir data
  python train.py --config=configs/video_folder.py --workdir=runs/mine --config.data.name=my_videos --config.data.data_dir=data \\
      --config.init.source=hf://google/vit-base-patch16-224-in21k

The argument is the backbone's size and patch, which must be the source's: `--config=configs/video_folder.py:S/16`. Without a source the
model starts from random weights, and needs far more clips. Where left and right tell classes apart, give `--config.augment.flip=0`. Memory
is in README.md, "Your own clips"; for fewer than a thousand clips, or a card of 8 GB, see `small_data.py`.
"""

import ml_collections

from vivit_jax.recipes.own_clips import own_clips


def get_config(backbone: str = "B/16") -> ml_collections.ConfigDict:
    config = own_clips("video_folder", backbone)

    config.augment.scale_jitter = (0.9, 1.33)

    # Small sets: the layers that know images move little, the new ones fully.
    config.optimizer.learning_rate = 1e-4
    config.optimizer.layer_decay = 0.75
    config.schedule.warmup_epochs = 2.5
    config.training.batch_size = 16
    config.training.epochs = 30.0
    return config
