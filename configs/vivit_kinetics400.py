"""ViViT on Kinetics-400, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare kinetics kinetics400 --name kinetics400 --data_dir data
  python train.py --config=configs/vivit_kinetics400.py --workdir=runs/kinetics400 --config.data.data_dir=data

The folder holds train.csv, validate.csv and the clips, as docs/data.md says. The argument chooses the model: its size and tubelet, then its
factorisation by name or number, such as `:B/16x2,spatio_temporal_attention`, `:L/16x2,2` or `:H/14x2,2`. Their scores in the paper, in
percent:

  B/16x2 (Table 2)                   top-1 80.0 by Model 1, 78.8 by Model 2, 77.4 by Model 3, 76.3 by Model 4
  L/16x2, Model 2, 1 x 3 views       top-1 81.7, top-5 93.8; `--config.evaluation.test_views="(1, 3)"`
  H/14x2, Model 2                    top-1 84.9, top-5 95.8; from a ViT trained on JFT, which is not public

Hardware: one accelerator or more that together hold the state and the activations of 64 clips. In GB, counted by `vivit inspect`:

  model             state on each device    activations of each clip
  B/16x2, Model 1   1.1                     1.6
  B/16x2, Model 2   1.4                     2.2
  B/16x2, Model 3   1.4                     3.0
  B/16x2, Model 4   1.1                     2.0
  L/16x2, Model 2   4.3                     0.2, as layers are computed again in the backward pass
  H/14x2, Model 2   8.5                     0.4, likewise

The state is parameters, gradients and momentum. The activations are counted before XLA fuses operations, which saves some: on an H200 a
clip took 0.9 with Models 1 and 2, 1.3 with Model 3 and 1.0 with Model 4. L/16x2 needs 4.3 + 64 x 0.2 = 17 GB on one device, and what one
layer takes while it is computed.

`--config.training.accumulation=4` takes a quarter of the activations, `--config.model.remat=True` a small part of them, and
`--config.parallel.fsdp=8` an eighth of the state; all train the same model. `vivit bench --mode train` measures memory and clips a second.
"""

from vivit_jax.recipes.vivit import add_colour, paper_recipe


def get_config(model="B/16x2,factorised_encoder"):
    config = paper_recipe("kinetics400", model, learning_rate=0.1, epochs=30.0)
    config.model.num_classes = 400
    add_colour(config)
    return config
