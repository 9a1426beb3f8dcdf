"""A small ViViT on the six sets of volumes of MedMNIST v2: organ, nodule, fracture, adrenal, vessel and synapse.

  vivit prepare medmnist3d adrenalmnist3d.npz --name adrenalmnist3d --data_dir data
  python train.py --config=configs/medmnist3d.py:adrenal --workdir=runs/adrenal --config.data.data_dir=data

The model that is kept has the best area under the ROC curve on `val`, by which MedMNIST chooses its own baselines: accuracy says little if
most volumes are of one class. The first argument is the set. Others follow after commas:

- `64` is for the volumes of 64 voxels a side (`vivit prepare medmnist3d adrenalmnist3d_64.npz --name adrenalmnist3d_64 ...`);
- `augmented`, the default, is the model of the Keras example "Video Vision Transformer", 27 tubelets of 8 voxels. It trains for 240 epochs
  on volumes that are rotated by up to 30 degrees about any axis and flipped along the axes that the set allows: none of `organ`, where
  left and right are classes; the first of `adrenal`, along which left and right glands mirror each other; and all three of the others;
- `keras` is the example's model and its own recipe: 60 epochs, and no augmentation but the place of the crop. The example takes the first
  24 of 28 voxels a side; here training takes any 24, and evaluation the middle ones;
- `small_tubelets` has tubelets of 4 voxels a side (8 of 64), and shifts and flips the volume.

The default has the best scores on the validation split of AdrenalMNIST3D. docs/volumes.md has the test scores, and what else was tried. The
other five sets were not run.
"""

from vivit_jax.config import base_config
from vivit_jax.errors import UserError, check_name

SETS = ("organ", "nodule", "fracture", "adrenal", "vessel", "synapse")
MODELS = ("augmented", "keras", "small_tubelets")

# The axes along which a volume may be flipped, (first, second, third), where these are not all. Left and right are classes of `organ`. The
# left and right glands of `adrenal` mirror each other along the first axis, and all lie the same way along the other two.
FLIPS = {"organ": (False, False, False), "adrenal": (True, False, False)}


def get_config(argument="adrenal"):
    which, *options = argument.split(",")
    check_name("set", which, SETS)
    if not set(options) <= {"64", *MODELS} or len(set(options) & set(MODELS)) > 1:
        raise UserError(f"after the set may come 64 and one of {' '.join(MODELS)}, got {','.join(options)}")
    size = 64 if "64" in options else 28
    config = base_config()
    config.name = "_".join([f"{which}mnist3d", *options])

    config.model.factorisation = "spatio_temporal_attention"
    config.model.pool = "mean"
    config.data.name = f"{which}mnist3d_64" if size == 64 else f"{which}mnist3d"
    config.data.stride = 1
    config.data.resize = size
    config.data.cache_gigabytes = 2.0 if size == 64 else 0.5
    config.augment.flip = 0.0
    config.training.batch_size = 32
    config.training.epochs = 60.0
    config.evaluation.best = "auc"
    if "keras" in options:
        keras(config, size)
    elif "small_tubelets" in options:
        small_tubelets(config, which, size)
    else:
        augmented(config, which, size)
    return config


def augmented(config, which, size):
    """The example's model, trained four times as long on volumes that are flipped and rotated."""
    eighths(config, size)
    regularised(config, which)
    config.data.mean = (0.1, 0.1, 0.1)
    config.data.std = (0.25, 0.25, 0.25)
    config.augment.rotation = 30.0
    config.training.epochs = 240.0
    config.training.ema_percent = 5.0
    config.optimizer.learning_rate = 3e-4
    config.evaluation.every_epochs = 12.0


def keras(config, size):
    """The example's numbers: https://keras.io/examples/vision/vivit, whose batches, epochs and pooling are those above."""
    eighths(config, size)
    config.model.activation = "gelu"
    config.model.attention_dropout = 0.1
    config.model.attention = "xla"
    config.data.mean = (0.0, 0.0, 0.0)
    config.data.std = (1.0, 1.0, 1.0)

    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.weight_decay = 0.0  # which makes it Adam
    config.schedule.name = "constant"


def small_tubelets(config, which, size):
    """Tubelets of a seventh, or of an eighth of 64 voxels: small parts of an organ are seen."""
    patch = size // 8 if size == 64 else 4
    config.model.clip = (size, size, size)
    config.model.tubelet = (patch, patch, patch)
    config.model.hidden_size = 128
    config.model.num_layers = 6
    config.model.num_heads = 4
    config.model.mlp_dim = 256
    config.model.dtype = "auto"
    regularised(config, which)
    config.augment.shift = size // 14
    config.optimizer.learning_rate = 5e-4


def eighths(config, size):
    """The model of the Keras example: tubelets of 8 voxels a side. What does not fill one is left out, so 24 of 28 voxels are seen."""
    side = size // 8 * 8
    config.model.clip = (side, side, side)
    config.model.tubelet = (8, 8, 8)
    config.model.hidden_size = 128
    config.model.num_layers = 8
    config.model.num_heads = 8
    config.model.mlp_dim = 512


def regularised(config, which):
    """Adds what our two recipes share against overfitting, such as flips along the axes that the set allows."""
    first, second, third = FLIPS.get(which, (True, True, True))
    config.augment.flip_time = 0.5 * first
    config.augment.flip_vertical = 0.5 * second
    config.augment.flip = 0.5 * third

    config.model.dropout = 0.1
    config.model.stochastic_depth = 0.1
    config.optimizer.name = "adamw"
    config.optimizer.weight_decay = 0.05
    config.optimizer.clip_norm = 1.0
    config.schedule.warmup_epochs = 3.0
    config.loss.label_smoothing = 0.1
