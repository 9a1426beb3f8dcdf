"""ViViT on Kinetics-600, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare kinetics kinetics600 --name kinetics600 --data_dir data
  python train.py --config=configs/vivit_kinetics600.py --workdir=runs/kinetics600 --config.data.data_dir=data

The folder holds train.csv, validate.csv and the clips, as docs/data.md says. In the paper, Model 2 of L/16x2 has top-1 82.9 and top-5 94.6.

The argument, the hardware and the memory of L/16x2 are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_colour, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("kinetics600", model, learning_rate=0.1, epochs=30.0)
    config.model.num_classes = 600
    add_colour(config)
    return config
