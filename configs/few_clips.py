"""An earlier recipe for a few hundred clips of your own: fine-tunes a small ViViT on a GPU of 8 GB. Begin with `small_data.py` instead.

  vivit prepare folder my_videos --name my_videos --data_dir data
  python train.py --config=configs/few_clips.py --workdir=runs/few \\
      --config.data.name=my_videos --config.data.data_dir=data --config.init.source=hf://WinKawaks/vit-small-patch16-224

It differs from `video_folder.py` in these points:

- a ViT-S in place of a ViT-B, and batches of 8 clips, computed in two halves: 4.5 GB with AdamW;
- each clip is drawn four times in a row, with other augmentations each time;
- stronger regularisers, and lower layers that hardly move;
- an average of the weights over steps, since a small validation split chooses the best epoch of a noisy curve almost by chance.

The argument is the backbone's size and patch. `B/16` takes 10 GB, and 6 GB with `--config.training.accumulation=4`.

`small_data.py` was chosen by runs on four kinds of sets, and takes 5.1 GB with `--config.training.accumulation=4`. The score of this one
was not measured. It has no probe and keeps the best epoch on `val`, and those runs advise against both (docs/small_data.md).
"""

import ml_collections

from vivit_jax.recipes.own_clips import own_clips


def get_config(backbone: str = "S/16") -> ml_collections.ConfigDict:
    config = own_clips("few_clips", backbone)

    config.model.temporal_layers = 2
    config.model.dropout = 0.1

    config.augment.random_resized_crop = (0.5, 1.0)
    config.augment.colour_jitter = 0.8
    config.augment.repeats = 4

    config.optimizer.learning_rate = 2e-4
    config.optimizer.layer_decay = 0.65
    config.schedule.warmup_percent = 10.0
    config.training.batch_size = 8
    config.training.accumulation = 2
    config.training.epochs = 40.0
    config.training.ema_decay = 0.99
    config.evaluation.every_epochs = 2.0
    return config
