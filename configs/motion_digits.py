"""A small ViViT on motion_digits, the data set that comes with the package: the first run to make, on a CPU.

Only the order of the frames tells the classes apart: four pairs of a motion and its reverse.

  python train.py --config=configs/motion_digits.py --workdir=runs/digits

It takes 2 to 4 minutes on 2 CPU cores. The argument chooses another of the paper's four models, by number or by name:
`--config=configs/motion_digits.py:1`. Their scores are in README.md, "Measured here".

Two controls show that the model learns motion. Trained and tested on one frame of each clip, it stays at chance, 1/8. With the frames of
each clip in random order it cannot tell a motion from its reverse, and stays below 1/2. Their scores are in README.md too.

  python train.py --config=configs/motion_digits.py --workdir=runs/one_frame --config.data.temporal_order=one_frame
  python train.py --config=configs/motion_digits.py --workdir=runs/shuffled --config.data.temporal_order=shuffled
"""

from vivit_jax.config import base_config
from vivit_jax.models.vivit.config import FACTORISATIONS


def get_config(factorisation="factorised_encoder"):
    config = base_config()
    config.name = "motion_digits"

    by_number = {str(number): name for number, name in enumerate(FACTORISATIONS, start=1)}
    config.model.factorisation = by_number.get(factorisation, factorisation)
    config.model.clip = (16, 48, 48)
    config.model.tubelet = (4, 8, 8)
    config.model.hidden_size = 64
    # Motion tells the classes, so Model 2 keeps its four temporal layers, which see a 36th of its tokens and are nearly free.
    config.model.num_layers = 2 if config.model.factorisation == "factorised_encoder" else 4
    config.model.num_heads = 4
    config.model.mlp_dim = 128
    config.model.pool = "mean"

    config.data.name = "motion_digits"
    config.data.resize = 48
    config.data.cache_gigabytes = 1.0  # 0.9 of them hold the training split, and 0.1 more the validation split: each is decoded once
    config.augment.flip = 0.0  # left and right are classes

    config.optimizer.learning_rate = 1e-3
    config.optimizer.b2 = 0.98
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.schedule.warmup_epochs = 0.5
    config.training.batch_size = 32
    config.training.epochs = 9.0
    config.evaluation.batch_size = 64
    return config
