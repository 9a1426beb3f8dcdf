"""A small ViViT on motion_digits, the embedded data set, where only the order of frames tells the class.

  python train.py --config=configs/motion_digits.py --workdir=runs/digits

The argument chooses one of the paper's four models, by number or by name: `--config=configs/motion_digits.py:2`. Controls that must fail:
`--config.data.temporal_order=one_frame` and `--config.data.temporal_order=shuffled`.
"""

import ml_collections

from vivit_jax.config import base_config
from vivit_jax.models.config import FACTORISATIONS


def get_config(factorisation: str = "factorised_encoder") -> ml_collections.ConfigDict:
    config = base_config()
    config.name = "motion_digits"

    config.model.factorisation = FACTORISATIONS[int(factorisation) - 1] if factorisation.isdigit() else factorisation
    config.model.clip = (12, 48, 48)
    config.model.tubelet = (2, 12, 12)
    config.model.hidden_size = 96
    config.model.num_layers = 4
    config.model.temporal_layers = 2
    config.model.num_heads = 4
    config.model.mlp_dim = 192

    config.data.name = "motion_digits"
    config.data.stride = 2
    config.data.resize = 48
    config.augment.flip = 0.0  # left and right are classes

    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.schedule.warmup_epochs = 1.0
    config.training.batch_size = 64
    config.training.epochs = 15.0
    config.evaluation.test_views = (2, 1)
    return config
