"""For a hundred and fifty to a thousand clips of your own: fits a head to frozen features, then fine-tunes the whole model at low rates.

  vivit prepare folder my_videos --name my_videos --data_dir data
  python train.py --config=configs/small_data.py --workdir=runs/small \\
      --config.data.name=my_videos --config.data.data_dir=data --config.init.source=hf://WinKawaks/vit-small-patch16-224

Model 3, whose temporal attention adds nothing at first: before the first step the model is a linear probe of the image model
(docs/probes.md), and it can learn motion from there. Rates are low, lowest next to the pixels. It chooses nothing on `val`, and trains on
its clips as well. It keeps the model after the last step, with weights averaged over the run, the first ones included. A set without `val`
needs `--config.data.train_split=train`.

It was chosen by runs on four kinds of small sets: it was the best of those that were nowhere below a probe (docs/small_data.md). If single
frames tell the classes apart, averaged frames are as good and a third faster:

  --config.model.factorisation=factorised_encoder --config.model.temporal_layers=0

Several seeds are averaged by `vivit soup`. On a small GPU `--config.training.lora.rank=8` and a learning rate of 5e-4 train adapters
instead; that rate was not tuned.
"""

import ml_collections

from vivit_jax.recipes.own_clips import own_clips


def get_config(backbone: str = "S/16") -> ml_collections.ConfigDict:
    config = own_clips("small_data", backbone)
    config.model.factorisation = "factorised_self_attention"
    config.init.head = "probe"

    config.data.train_split = "train+val"
    config.data.val_split = None
    config.augment.random_resized_crop = (0.5, 1.0)
    config.augment.repeats = 2

    config.optimizer.learning_rate = 1e-4
    config.optimizer.layer_decay = 0.75
    config.schedule.warmup_percent = 10.0
    config.training.batch_size = 16
    config.training.epochs = 20.0
    config.training.ema_percent = 50.0
    config.evaluation.best = "last"
    return config
