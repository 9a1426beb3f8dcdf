"""A small Model 2 from random weights on drone_ir, a small set of real clips: what a CPU can do without pretrained weights.

The clips are thermal-infrared videos of airplanes, birds, drones and helicopters (Svanström et al. 2021), 789 of them to train on.

  vivit prepare csv drone_ir_crops/index.csv --name drone_ir --data_dir data
  python train.py --config=configs/drone_ir.py --workdir=runs/drone --config.data.data_dir=data

It takes at most 25 minutes on 2 CPU cores. Its score, and those of the majority class and of a logistic regression on one frame, are in
README.md, "Measured here".
"""

from vivit_jax.config import base_config


def get_config():
    config = base_config()
    config.name = "drone_ir"

    config.model.factorisation = "factorised_encoder"
    config.model.clip = (16, 56, 56)
    config.model.tubelet = (4, 8, 8)
    config.model.hidden_size = 96
    config.model.num_layers = 4
    config.model.temporal_layers = 2
    config.model.num_heads = 4
    config.model.mlp_dim = 192
    config.model.pool = "mean"
    config.model.dropout = 0.1
    config.model.stochastic_depth = 0.1

    config.data.name = "drone_ir"
    config.data.resize = 64
    config.augment.scale_jitter = (0.9, 1.33)
    config.loss.label_smoothing = 0.1

    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.1
    config.optimizer.clip_norm = 1.0
    config.schedule.warmup_epochs = 3.0
    config.training.mixup = 0.2
    config.training.batch_size = 32
    config.training.epochs = 60.0
    config.evaluation.every_epochs = 5.0
    config.evaluation.test_views = (4, 1)
    return config
