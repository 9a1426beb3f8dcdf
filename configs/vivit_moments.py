"""ViViT on Moments in Time, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare moments Moments_in_Time_Raw --name moments --data_dir data
  python train.py --config=configs/vivit_moments.py --workdir=runs/moments --config.data.data_dir=data

The folder is as the publisher hands it out, with moments_categories.txt. In the paper, Model 2 of L/16x2 has top-1 38.5 and top-5 64.1. The
classes are read from the data set, since they differ between its versions.

The argument, the hardware and the memory of L/16x2 are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_colour, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("moments", model, learning_rate=0.25, epochs=10.0)
    add_colour(config)
    return config
