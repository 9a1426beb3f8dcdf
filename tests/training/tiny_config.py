"""The experiment of `tiny.py` as a config file."""

from vivit_jax.config import base_config


def get_config():
    config = base_config()
    config.model.update(clip=(4, 16, 16), tubelet=(2, 8, 8), hidden_size=16, num_layers=1, num_heads=2, mlp_dim=32, temporal_layers=1)
    config.data.update(stride=1, resize=16)
    config.training.update(batch_size=16, steps=20, log_every=2, tensorboard=False, compilation_cache=None)
    config.optimizer.learning_rate = 1e-2
    config.evaluation.every_steps = 10
    config.checkpoint.every_steps = 5
    return config
