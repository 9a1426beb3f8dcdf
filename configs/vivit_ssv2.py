"""ViViT on Something-Something v2, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare csv ssv2.csv --name ssv2 --data_dir data
  python train.py --config=configs/vivit_ssv2.py --workdir=runs/ssv2 --config.data.data_dir=data

The list has columns path, label and split (train, val). The paper's L/16x2, Model 2, has top-1 65.9 and top-5 89.9. Clips are of stride 1,
as in the original's configuration. Flips are the table's, though left and right tell some of these classes apart:
`--config.augment.flip=0` leaves them out. The argument and the hardware are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes import add_regularisers, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("ssv2", model, learning_rate=0.5, epochs=35.0)
    config.model.num_classes = 174
    config.data.stride = 1
    add_regularisers(config, magnitude=20.0, stochastic_depth=0.3, label_smoothing=0.3, mixup=0.3)
    return config
