"""ViViT on Something-Something v2, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare ssv2 20bn-something-something-v2 --annotations labels --name ssv2 --data_dir data
  python train.py --config=configs/vivit_ssv2.py --workdir=runs/ssv2 --config.data.data_dir=data

The JSON files and the videos are as they are handed out. The paper's L/16x2, Model 2, has top-1 65.9 and top-5 89.9. Clips are of stride 1,
as in the original's configuration.

One thing is not the table's, which flips the clips of every data set: here left and right are the label of three pairs of classes
(something pulled, or pushed, from left to right or from right to left; the camera turned left or right), and a flipped clip of theirs
would be trained on with the wrong label. `--config.augment.flip=0.5` is the table's.

Memory of this model, counted by `vivit inspect`: 4.3 GB of parameters, gradients and momentum, and 0.2 GB of activations a clip, since
layers are computed again in the backward pass: 17 GB for the batch of 64 on one device, and what a layer takes while it is computed.
The argument and the hardware are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_regularisers, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("ssv2", model, learning_rate=0.5, epochs=35.0)
    config.model.num_classes = 174
    config.data.stride = 1
    config.augment.flip = 0.0
    add_regularisers(config, magnitude=20.0, stochastic_depth=0.3, label_smoothing=0.3, mixup=0.3)
    return config
