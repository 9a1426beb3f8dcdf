"""Several labels a video, from a list to a batch."""

import films
import numpy as np
import pytest

from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import evaluation_batches, training_batches
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.summary import summarise
from vivit_jax.preprocess import Preprocess

LABELS = {"a": "cat;dog", "b": "dog", "c": "", "d": "bird;cat;dog"}
EXPECTED = {"a.mp4": [0, 1, 1], "b.mp4": [0, 0, 1], "c.mp4": [0, 0, 0], "d.mp4": [1, 1, 1]}
PREPROCESS, DATA = Preprocess(frames=2, stride=1, resize=16, crop=(16, 16)), DataConfig(readers=1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    for seed, name in enumerate(LABELS):
        films.write(folder / f"{name}.mp4", films.scene(4, 16, 16, seed))
    (folder / "list.csv").write_text("path,labels\n" + "".join(f"{name}.mp4,{labels}\n" for name, labels in LABELS.items()))
    summary = prepare("csv", folder / "list.csv", name="several", data_dir=folder / "data", workers=1)
    return summary, open_dataset("several", folder / "data")


def test_records_hold_a_one_for_each_of_a_clips_classes(prepared):
    _, dataset = prepared
    assert dataset.labels == ("bird", "cat", "dog")
    assert dataset.multi_label
    assert {record["name"]: record["label"].tolist() for record in dataset.source("train")} == EXPECTED


def test_classes_are_counted_each_and_clips_once(prepared):
    summary, dataset = prepared
    assert summary.counts["train"] == summarise(dataset, "train").counts == {"bird": 1, "cat": 2, "dog": 3}
    assert summary.clips == 4
    np.testing.assert_array_equal(dataset.class_counts("train")[""], [1, 2, 3])


def test_batches_stack_them_and_pad_with_none(prepared):
    _, dataset = prepared
    names = [record["name"] for record in dataset.source("train")]
    batch = next(training_batches(dataset.source("train"), PREPROCESS, DATA, AugmentConfig(), batch_size=4, seed=0))
    assert batch["label"].dtype == np.uint8
    np.testing.assert_array_equal(batch["label"], [EXPECTED[names[i]] for i in batch["index"]])
    *_, last = evaluation_batches(dataset.source("train"), PREPROCESS, DATA, batch_size=3)
    assert last["valid"].tolist() == [True, False, False]
    np.testing.assert_array_equal(last["label"], [EXPECTED[names[3]], [0, 0, 0], [0, 0, 0]])
