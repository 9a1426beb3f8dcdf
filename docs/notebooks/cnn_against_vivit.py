# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # CNN against ViViT
#
# Two small networks, a 3-D ResNet and a ViViT, are trained on the same clips by the same recipe, and compared fairly: on the same
# videos, with intervals and a paired test. It takes a few minutes on a CPU. docs/cnn_or_vivit.md has the long version.

# %%
import pathlib
import tempfile

import vivit_jax
from vivit_jax.config import base_config

folder = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# ## One recipe
#
# Everything but the model is the same. The data are the embedded motion_digits, here with classes that only motion tells apart, and a
# small part of them, so that it is quick. They are drawn once, into `~/tensorflow_datasets`, where the README's first command finds
# them too.


# %%
def recipe(family):
    config = base_config(family)
    config.data.name = "motion_digits"
    config.data.train_split = "train[:246]"
    config.data.val_split = "val[:128]"
    config.data.test_split = "test[:123]"
    config.data.stride = 4
    config.data.resize = 48
    config.augment.flip = 0.0
    config.model.clip = (8, 48, 48)
    config.optimizer.learning_rate = 1e-3
    config.training.batch_size = 32
    config.training.epochs = 2.0
    return config


vivit = recipe("vivit")
vivit.model.factorisation = "factorised_self_attention"
vivit.model.tubelet = (2, 8, 8)
vivit.model.hidden_size = 64
vivit.model.num_layers = 2
vivit.model.num_heads = 4
vivit.model.mlp_dim = 128

resnet = recipe("resnet3d")
resnet.model.architecture = "r2plus1d_18"
resnet.model.width = 4
resnet.model.convolutions = "2d"  # its kernels span space or time, and a CPU is three times as fast with them as 2-D convolutions

# %%
for name, config in {"vivit": vivit, "resnet": resnet}.items():
    print(name, vivit_jax.train(config, folder / name).to_dict()["top1"])

# %% [markdown]
# ## Is the difference real?
#
# The interval is drawn by bootstrap over videos; the paired test asks only about videos where one is right and the other wrong. With a
# few epochs and one seed each this says which of *these two runs* is better, not which family.

# %%
comparison = vivit_jax.compare([folder / "vivit", folder / "resnet"], out=folder / "comparison")
for run in comparison.to_dict()["runs"]:
    print(f"{run['name']:8} top-1 {run['top1']:.3f} from {run['low']:.3f} to {run['high']:.3f}; {run['gmac']:.3f} GMAC a view")
comparison.to_dict()["pairs"]

# %% [markdown]
# `comparison/compare.html` has the same as a page, with clips that play where the two disagree.
