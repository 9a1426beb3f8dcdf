"""What each regulariser of the paper gains or costs on drone_ir: its Table 4 on a small set.

The argument is a row of the table, and each row has all that is above it:

- `augmentation`: random crop, flip and colour jitter, from random weights, without a source;
- `image_weights`: image weights, in place of the paper's Kinetics model;
- `stochastic_depth`;
- `randaugment`: in place of the colour jitter, as in Scenic;
- `label_smoothing`;
- `mixup`.

  vivit prepare csv drone_ir_crops/index.csv --name drone_ir --data_dir data
  python train.py --config=configs/drone_ir_ablation.py:mixup --workdir=runs/mixup --config.data.data_dir=data \\
      --config.init.source=vits14_google_layout_fp16.npz

The strengths are the paper's for Epic-Kitchens-100 (Table 7). What is the same in every row is shared with `drone_ir_finetune.py`, in
`vivit_jax/recipes/drone_ir.py`. `benchmarks/ablation.py` trains all rows with three seeds and makes a table and a plot; docs/drone_ir.md
has the scores.
"""

from vivit_jax.errors import check_name
from vivit_jax.recipes.drone_ir import image_vit_on_drone_ir

ROWS = ("augmentation", "image_weights", "stochastic_depth", "randaugment", "label_smoothing", "mixup")


def get_config(row="mixup"):
    check_name("row", row, ROWS)
    switched_on = ROWS[: ROWS.index(row) + 1]
    config = image_vit_on_drone_ir(f"drone_ir_ablation_{row}")

    config.data.resize = 112
    config.augment.scale_jitter = (0.9, 1.33)
    config.training.epochs = 10.0

    if "image_weights" in switched_on:
        config.optimizer.learning_rate = 2e-4
        config.optimizer.layer_decay = 0.75
    else:
        config.optimizer.learning_rate = 5e-4
    if "stochastic_depth" in switched_on:
        config.model.stochastic_depth = 0.2
        config.model.stochastic_depth_rescale = True
    if "randaugment" in switched_on:
        config.augment.randaugment_layers = 2
        config.augment.randaugment_magnitude = 15.0
    else:
        config.augment.colour_jitter = 0.8
        config.augment.greyscale = 0.1
    if "label_smoothing" in switched_on:
        config.loss.label_smoothing = 0.2
    if "mixup" in switched_on:
        config.training.mixup = 0.1
    return config
