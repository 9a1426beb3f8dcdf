"""One recipe for CNNs and ViViTs on small sets, from random weights: the runs of docs/cnn_or_vivit.md, which has their scores.

  python train.py --config=configs/cnn_or_vivit.py:drone_ir,r2plus1d_18 --workdir=runs/one --config.data.data_dir=data

The argument is a data set and a model. The data sets are motion_digits, drone_ir and adrenalmnist3d. The models are:

- `1`, `2`, `3` or `4`: a ViViT, by its number in the paper; `2,frames` is Model 2 with sampled frames in place of tubelets;
- `single_frame`, `early`, `late` or `slow`: a fusion of Karpathy et al. 2014;
- `r3d_18` or `r2plus1d_18`: a ResNet of torchvision's.

All are small, and train in the same way: AdamW with the same batches, epochs and augmentations. `benchmarks/cnn_or_vivit.py` chooses the
learning rate of each on the validation split, and tests it over seeds.
"""

from vivit_jax.config import base_config
from vivit_jax.errors import UserError, check_name
from vivit_jax.models.vivit.config import FACTORISATIONS

VIVITS = ("1", "2", "3", "4", "2,frames")
FUSIONS = ("single_frame", "early", "late", "slow")
RESNETS = ("r3d_18", "r2plus1d_18")

# Frames and pixels of a clip, its stride, and the frames that slow fusion takes of it (10, 14, 18 and so on).
CLIPS = {
    "motion_digits": ((16, 48, 48), 2, 14),
    "drone_ir": ((16, 56, 56), 2, 14),
    "adrenalmnist3d": ((28, 28, 28), 1, 26),
}


def get_config(argument="drone_ir,2"):
    which, _, model = argument.partition(",")
    check_name("data set", which, CLIPS)
    if model not in (*VIVITS, *FUSIONS, *RESNETS):
        raise UserError(f"the model must be one of {' '.join((*VIVITS, *FUSIONS, *RESNETS))}, got {model!r}")
    clip, stride, _ = CLIPS[which]
    config = base_config("vivit" if model in VIVITS else "fusion_cnn" if model in FUSIONS else "resnet3d")
    config.name = f"{which}_{model.replace(',', '_')}"
    config.model.clip = clip
    config.data.name = which
    config.data.stride = stride
    (vivit if model in VIVITS else fusion if model in FUSIONS else resnet)(config, which, model)

    config.data.resize = {"motion_digits": 48, "drone_ir": 64, "adrenalmnist3d": 28}[which]
    config.data.cache_gigabytes = 1.0
    config.augment.flip = 0.0 if which == "motion_digits" else 0.5  # left and right are classes of motion_digits
    if which == "drone_ir":
        config.augment.scale_jitter = (0.9, 1.33)
    elif which == "adrenalmnist3d":
        config.augment.flip_vertical = 0.5
        config.augment.flip_time = 0.5
        config.augment.shift = 2
    config.loss.label_smoothing = 0.1

    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.schedule.warmup_percent = 5.0
    config.training.batch_size = 32
    config.training.epochs = 7.0 if which == "motion_digits" else 30.0
    config.training.tensorboard = False
    config.evaluation.best = "auc" if which == "adrenalmnist3d" else "top1"
    config.evaluation.every_percent = 10.0
    config.evaluation.test_views = (4, 1) if which == "drone_ir" else (1, 1)
    config.checkpoint.keep = 1
    return config


def vivit(config, which, model):
    number, _, tokenizer = model.partition(",")
    config.model.factorisation = FACTORISATIONS[int(number) - 1]
    config.model.tokenizer = tokenizer or "tubelet"
    config.model.tubelet = (4, 4, 4) if which == "adrenalmnist3d" else (4, 8, 8)
    config.model.hidden_size = 96
    config.model.num_layers = 4
    config.model.temporal_layers = 2
    config.model.num_heads = 4
    config.model.mlp_dim = 192
    config.model.pool = "mean"
    config.model.dropout = 0.1
    config.model.dtype = "auto"


def fusion(config, which, model):
    (frames, *size), _, slow = CLIPS[which]
    config.model.fusion = model
    config.model.filters = (24, 64, 96, 96, 64)
    config.model.hidden = (256, 256)
    config.model.clip = ({"single_frame": 1, "early": frames, "late": 2, "slow": slow}[model], *size)
    if model == "late":
        config.data.stride = 15


def resnet(config, which, model):
    config.model.architecture = model
    config.model.width = 16
