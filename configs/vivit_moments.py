"""ViViT on Moments in Time, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare moments Moments_in_Time_Raw --name moments --data_dir data
  python train.py --config=configs/vivit_moments.py --workdir=runs/moments --config.data.data_dir=data

The folder is as it is handed out, with moments_categories.txt. The paper's L/16x2, Model 2, has top-1 38.5 and top-5 64.1. The classes are
those of the data set, whose versions differ in them.

Memory of this model, counted by `vivit inspect`: 4.3 GB of parameters, gradients and momentum, and 0.2 GB of activations a clip, since
layers are computed again in the backward pass: 17 GB for the batch of 64 on one device, and what a layer takes while it is computed.
The argument and the hardware are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_colour, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("moments", model, learning_rate=0.25, epochs=10.0)
    add_colour(config)
    return config
