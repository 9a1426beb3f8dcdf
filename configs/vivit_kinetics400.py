"""ViViT on Kinetics-400, from an ImageNet-21K ViT: the paper's recipe (Table 7).

  vivit prepare kinetics kinetics400 --name kinetics400 --data_dir data
  python train.py --config=configs/vivit_kinetics400.py --workdir=runs/kinetics400 --config.data.data_dir=data

The folder holds train.csv and validate.csv and the clips, as docs/data.md says. The argument chooses the model, its factorisation by name
or number, such as `:B/16x2,spatio_temporal_attention`, `:L/16x2,2` or `:H/14x2,2`. Top-1 in the paper: of B/16x2 (Table 2), 80.0 by Model
1, 78.8 by Model 2, 77.4 by Model 3, 76.3 by Model 4; 81.7 (top-5 93.8) by L/16x2, Model 2, in 1 x 3 views
(`--config.evaluation.test_views="(1, 3)"`); 84.9 (top-5 95.8) by H/14x2, Model 2, from a ViT trained on JFT, which is not public.

Hardware: one accelerator or more that hold the state and the activations of 64 clips between them. Memory, counted by `vivit inspect`: GB
of parameters, gradients and momentum on each device, then GB of activations a clip, from above: before XLA fuses. (An H200 took 0.9 a clip
of Models 1 and 2, 1.3 of Model 3 and 1.0 of Model 4.)

  B/16x2: Model 1 1.1 and 1.6, Model 2 1.4 and 2.2, Model 3 1.4 and 3.0, Model 4 1.1 and 2.0
  Model 2: L/16x2 4.3 and 0.2, H/14x2 8.5 and 0.4; both compute a layer's activations again in the backward pass

`--config.training.accumulation=4` takes a quarter of the activations, `--config.model.remat=True` a small part of them, and
`--config.parallel.fsdp=8` an eighth of the state; all train the same. `vivit bench --mode train` measures memory and clips a second.
"""

from vivit_jax.recipes.vivit import add_colour, paper_recipe


def get_config(model="B/16x2,factorised_encoder"):
    config = paper_recipe("kinetics400", model, learning_rate=0.1, epochs=30.0)
    config.model.num_classes = 400
    add_colour(config)
    return config
