"""Draws the first training batch of an experiment as a picture."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from PIL import Image

from vivit_jax.config import Experiment
from vivit_jax.data.dataset import VideoDataset, ensure_dataset
from vivit_jax.data.pipeline import TrainingBatches, training_batches
from vivit_jax.data.summary import SHEET_ROWS, label_text
from vivit_jax.drawing import contact_sheet
from vivit_jax.training.colours import seen_video
from vivit_jax.training.mixing import mix, paired
from vivit_jax.training.step import keys_of


def first_batch_sheet(experiment: Experiment) -> Image.Image:
    """A contact sheet of the first training batch, or of its first clips, as the model sees them: augmented, and mixed with their partners.

    Raises:
      UserError: for a data set or split that does not exist.
    """
    data, training = experiment.data, experiment.training
    dataset = ensure_dataset(data.name, data.data_dir)
    repeats = experiment.augment.repeats
    count = max(1, min(SHEET_ROWS, training.batch_size) // repeats) * repeats
    batches = training_batches(
        dataset.source(data.train_split),
        experiment.preprocess,
        dataclasses.replace(data, processes=0),
        experiment.augment,
        batch_size=count,
        seed=experiment.seed,
    )
    video, labels = _drawn(batches, dataset)
    if training.mixes:
        batches.set_state({"clips": training.batch_size - count})  # to the partners of the first clips, at the batch's end
        partners = _drawn(batches, dataset)
        video, labels = _mixed(np.concatenate([video, partners[0]]), [*labels, *partners[1]], experiment)
    return contact_sheet(list(video), labels)


def _drawn(batches: TrainingBatches, dataset: VideoDataset) -> tuple[np.ndarray, list[str]]:
    """The next clips, augmented, and their labels."""
    batch = next(batches)
    rows = range(len(batch["video"]))
    labels = [label_text(dataset, jax.tree.map(lambda values, i=i: values[i], batch["label"])) for i in rows]
    return np.asarray(seen_video(batch)), labels


def _mixed(video: np.ndarray, labels: Sequence[str], experiment: Experiment) -> tuple[np.ndarray, list[str]]:
    """The first half of the clips as the first step mixes them, and captions with the shares of each clip's own label and its partner's."""
    pairs = paired({"video": video}, keys_of(experiment.seed, 0)[0], experiment.training)
    weights = np.asarray(pairs["own_weight"])
    video = np.asarray(mix(pairs["video"], pairs["partner_video"], weights[:, None, :, :, None]))
    captions = [
        f"{share:.0%} {own}, {1 - share:.0%} {other}"
        for share, own, other in zip(weights.mean(axis=(1, 2)), labels, labels[::-1], strict=True)
    ]
    half = len(video) // 2
    return video[:half].round().astype(np.uint8), captions[:half]
