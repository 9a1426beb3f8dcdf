# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # From clips to a classifier
#
# Folders of videos become a data set, a small ViViT is trained on it, scored, asked about a single video, and explained. It takes a few
# minutes on a CPU. Open this file as a notebook (`jupytext --to ipynb clips_to_classifier.py`, or directly in an editor that knows
# the percent format).

# %%
import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import vivit_jax
from vivit_jax.config import base_config
from vivit_jax.data import motion_digits
from vivit_jax.data.video.encoder import encode

folder = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# ## Clips
#
# Your own clips go to `clips/{train,val,test}/CLASS/`. Here we draw some: handwritten digits that move to the left or to the right.
# No single frame shows which.

# %%
CLASSES = ("move_left", "move_right")
for split, wanted in {"train": 192, "val": 48, "test": 96}.items():
    count = index = 0
    while count < wanted:
        frames, label = motion_digits.render(split, index)
        index += 1
        if motion_digits.LABELS[label] in CLASSES:
            path = folder / "clips" / split / motion_digits.LABELS[label] / f"{index}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(frames, motion_digits.FPS))
            count += 1

# %% [markdown]
# ## A data set
#
# Videos are decoded once, checked, and stored so that training reads them quickly.

# %%
summary = vivit_jax.prepare("folder", folder / "clips", name="left_or_right", data_dir=folder / "data")
dict(summary.stored)

# %% [markdown]
# ## Training
#
# A config is nested values; `vivit inspect --keys` explains each. This is Model 2, the factorised encoder, very small. The first step
# takes longer than the others: JAX compiles it.

# %%
config = base_config()
config.model.factorisation = "factorised_encoder"
config.model.clip = (16, 48, 48)
config.model.tubelet = (4, 8, 8)
config.model.hidden_size = 64
config.model.num_layers = 2
config.model.temporal_layers = 2
config.model.num_heads = 4
config.model.mlp_dim = 128
config.model.pool = "mean"
config.data.name = "left_or_right"
config.data.data_dir = str(folder / "data")
config.data.stride = 2
config.data.resize = 48
config.augment.flip = 0.0  # a mirrored clip would have the other label
config.optimizer.learning_rate = 1e-3
config.training.batch_size = 32
config.training.epochs = 16.0

scores = vivit_jax.train(config, folder / "run")
scores

# %% [markdown]
# Half of these clips would be right by guessing. `run/report.html` shows the curves, the classes and the clips themselves.
#
# ## Asking the model

# %%
model = vivit_jax.from_pretrained(folder / "run" / "model")
video = next((folder / "clips" / "test" / "move_left").glob("*.mp4"))
model.predict(video)

# %% [markdown]
# ## Where it looked
#
# Integrated gradients say how much each token added to the score of a class. Together they add up to the score's rise over a blank
# clip, one of the clip's mean colour.

# %%
from vivit_jax.inference.explain import explain

explanation = explain(model, video)
relevance = explanation.relevance.tokens  # (times, rows, columns)
figure, axes = plt.subplots(1, len(relevance), figsize=(2 * len(relevance), 2.2))
for time, (ax, tokens) in enumerate(zip(axes, relevance, strict=True), start=1):
    ax.imshow(tokens, cmap="coolwarm", vmin=-np.abs(relevance).max(), vmax=np.abs(relevance).max())
    ax.set(title=f"time {time}", xticks=[], yticks=[])
figure.suptitle(f"{explanation.label}, {explanation.probability:.0%}")
plt.show()
