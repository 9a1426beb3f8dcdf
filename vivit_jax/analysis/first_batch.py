"""Draws the first training batch of an experiment as a picture."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from PIL import Image

from vivit_jax.config import Experiment
from vivit_jax.data.dataset import ensure_dataset
from vivit_jax.data.pipeline import training_batches
from vivit_jax.data.summary import SHEET_ROWS, label_text
from vivit_jax.drawing import contact_sheet
from vivit_jax.training.colours import seen_video
from vivit_jax.training.mixing import mix, paired


def first_batch_sheet(experiment: Experiment) -> Image.Image:
    """A contact sheet of the first training batch as the model sees it, augmented and mixed.

    Raises:
      UserError: for a data set or split that does not exist.
    """
    data = experiment.data
    dataset = ensure_dataset(data.name, data.data_dir)
    repeats = experiment.augment.repeats
    batches = training_batches(
        dataset.source(data.train_split),
        experiment.preprocess,
        dataclasses.replace(data, processes=0),
        experiment.augment,
        batch_size=max(1, min(SHEET_ROWS, experiment.training.batch_size) // repeats) * repeats,
        seed=experiment.seed,
    )
    batch = next(batches)
    rows = range(len(batch["video"]))
    labels = [label_text(dataset, jax.tree.map(lambda values, i=i: values[i], batch["label"])) for i in rows]
    video = seen_video(batch)
    if experiment.training.mixes:
        video, labels = _mixed(video, labels, experiment)
    return contact_sheet(list(np.asarray(video)), labels)


def _mixed(video: np.ndarray, labels: Sequence[str], experiment: Experiment) -> tuple[np.ndarray, list[str]]:
    """The clips as the step mixes them, and captions with the shares of each clip's own label and its partner's."""
    pairs = paired({"video": video}, jax.random.key(experiment.seed), experiment.training)
    weights = np.asarray(pairs["own_weight"])
    video = np.asarray(mix(pairs["video"], pairs["partner_video"], weights[:, None, :, :, None]))
    captions = [
        f"{share:.0%} {own}, {1 - share:.0%} {other}"
        for share, own, other in zip(weights.mean(axis=(1, 2)), labels, labels[::-1], strict=True)
    ]
    return video.round().astype(np.uint8), captions
