"""ViViT on Something-Something v2, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare ssv2 20bn-something-something-v2 --annotations labels --name ssv2 --data_dir data
  python train.py --config=configs/vivit_ssv2.py --workdir=runs/ssv2 --config.data.data_dir=data

The JSON files and the videos are as the publisher hands them out. In the paper, Model 2 of L/16x2 has top-1 65.9 and top-5 89.9. Clips take
every frame (stride 1), as Scenic's do.

It differs from the table in one thing. The table flips the clips of every data set, but three pairs of these classes differ in left and
right alone: something pulled, something pushed, and the camera turned, to the left or to the right. A flipped clip of theirs would have the
wrong label. `--config.augment.flip=0.5` flips as the table does.

The argument, the hardware and the memory of L/16x2 are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_regularisers, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("ssv2", model, learning_rate=0.5, epochs=35.0)
    config.model.num_classes = 174
    config.data.stride = 1
    config.augment.flip = 0.0
    add_regularisers(config, magnitude=20.0, stochastic_depth=0.3, label_smoothing=0.3, mixup=0.3)
    return config
