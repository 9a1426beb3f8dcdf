"""ViViT on Kinetics-600, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare kinetics kinetics600 --name kinetics600 --data_dir data
  python train.py --config=configs/vivit_kinetics600.py --workdir=runs/kinetics600 --config.data.data_dir=data

The folder holds train.csv and validate.csv and the clips, as docs/data.md says. The paper's L/16x2, Model 2, has top-1 82.9 and top-5 94.6.

Memory of this model, counted by `vivit inspect`: 4.3 GB of parameters, gradients and momentum, and 0.2 GB of activations a clip, since
layers are computed again in the backward pass: 17 GB for the batch of 64 on one device, and what a layer takes while it is computed.
The argument and the hardware are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_colour, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("kinetics600", model, learning_rate=0.1, epochs=30.0)
    config.model.num_classes = 600
    add_colour(config)
    return config
