"""X3D on Kinetics-400, from random weights: a small CNN beside ViViT, by the recipe of its authors' code.

  vivit prepare kinetics kinetics400 --name kinetics400 --data_dir data
  python train.py --config=configs/kinetics_x3d.py:x3d_s --workdir=runs/x3d_s --config.data.data_dir=data

The argument chooses the network. What the authors' code reports for its weights, top-1 in percent, and the cost of one view of the clips
below in GMAC (billions of multiply-accumulates in products and convolutions; `vivit inspect` adds the rest, 2.04 for S):

  network   parameters   clip, stride          GMAC    10 x 1 views   10 x 3 views
  x3d_xs    3.79 M       4 x 160 x 160, 12     0.61    68.7           69.5
  x3d_s     3.79 M       13 x 160 x 160, 6     1.96    73.1           73.5
  x3d_m     3.79 M       16 x 224 x 224, 5     4.73    75.1           76.2
  x3d_l     6.15 M       16 x 312 x 312, 5     18.37   76.9           77.5

Their learning rate is 0.1 for 128 clips, here 0.05 for 64. They estimate the batch statistics anew over 200 batches before each test, which
we do not, and their 10 x 3 views are crops of the whole short side, where ours are as large as in training. It was not trained here.
`--config.init.source=X3D_S.pyth` starts from their weights, with a new head unless `--config.init.head=keep`.
"""

from vivit_jax.config import base_config
from vivit_jax.errors import check_name

# Frames and pixels of a clip, its stride, and the short side before the crop: from the first to the second, drawn for each clip.
SAMPLING = {
    "x3d_xs": ((4, 160, 160), 12, (182, 228)),
    "x3d_s": ((13, 160, 160), 6, (182, 228)),
    "x3d_m": ((16, 224, 224), 5, (256, 320)),
    "x3d_l": ((16, 312, 312), 5, (356, 446)),
}


def get_config(network="x3d_s"):
    check_name("network", network, SAMPLING)
    clip, stride, (shortest, longest) = SAMPLING[network]
    config = base_config("x3d")
    config.name = f"kinetics400_{network}"
    config.model.architecture = network
    config.model.clip = clip
    config.model.num_classes = 400

    config.data.name = "kinetics400"
    config.data.val_split = None
    config.data.test_split = "val"
    config.data.stride = stride
    config.data.resize = shortest
    config.data.mean = (0.45, 0.45, 0.45)
    config.data.std = (0.225, 0.225, 0.225)
    config.augment.flip = 0.5
    config.augment.scale_jitter = (1.0, longest / shortest)

    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.05
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 5e-5
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 35.0
    config.training.batch_size = 64
    config.training.epochs = 300.0
    config.evaluation.test_views = (10, 3)
    return config
