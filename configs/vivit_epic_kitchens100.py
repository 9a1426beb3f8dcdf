"""ViViT on Epic-Kitchens-100, from the Kinetics-400 model: the paper's recipe (Table 7).

  vivit prepare epic EPIC-KITCHENS --annotations epic-kitchens-100-annotations --name epic_kitchens100 --data_dir data
  python train.py --config=configs/vivit_kinetics400.py:L/16x2,2 --workdir=runs/kinetics400 --config.data.data_dir=data
  python train.py --config=configs/vivit_epic_kitchens100.py --workdir=runs/epic --config.data.data_dir=data

The data set `epic_kitchens100` has two heads, verb (97 classes) and noun (300), and so has the model. The loss is the mean over both, and
the action is the most probable pair. In the paper, Model 2 of L/16x2 has top-1 44.0 for actions, 66.4 for verbs and 56.8 for nouns, and
Model 2 of B/16x2 43.7 for actions (Table 2). Clips take every frame (stride 1), as Scenic's do.

The argument, the hardware and the memory of L/16x2 are as for `vivit_kinetics400.py`.
"""

from vivit_jax.recipes.vivit import add_regularisers, paper_recipe


def get_config(model="L/16x2,factorised_encoder"):
    config = paper_recipe("epic_kitchens100", model, learning_rate=0.5, epochs=50.0)
    config.init.source = "runs/kinetics400/model"
    config.data.stride = 1
    add_regularisers(config, magnitude=15.0, stochastic_depth=0.2, label_smoothing=0.2, mixup=0.1)
    return config
