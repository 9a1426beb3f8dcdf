"""The files of a model that is sure of what it says: whoever scores their probabilities finds the scores that were told."""

import csv
import json
import types

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from toys import LABELS
from written_runs import evaluation, write_evaluation

import vivit_jax
from vivit_jax.inference.predict import probabilities_of
from vivit_jax.inference.prediction_tables import write_table
from vivit_jax.inference.row_files import open_rows
from vivit_jax.inference.rows import RowsOfModel
from vivit_jax.inference.windows import WindowScores

VIDEOS, SURE = 300, 7.0  # the size of logits whose probabilities differ from 1 by less than 1e-9


def logits_of(present, skill):
    noise = np.random.default_rng(0).normal(size=present.shape)
    return (SURE * (noise + skill * (2.0 * present - 1))).astype(np.float32)


def columns(scores, folder, classes):
    """(videos, classes) the probabilities in the csv of predictions."""
    record = json.loads(write_evaluation(folder / "evaluation.json", scores).read_text())
    write_table(record, folder / "predictions.csv")
    with (folder / "predictions.csv").open(newline="") as file:
        return np.array([[float(row[name]) for name in classes] for row in csv.DictReader(file)])


def test_several_labels_have_the_mean_average_precision_that_was_told(tmp_path):
    label = (np.random.default_rng(1).random((VIDEOS, 3)) < 0.3).astype(np.uint8)
    scores = evaluation(label, logits_of(label, skill=1.0), LABELS)
    written = columns(scores, tmp_path, LABELS)
    assert written.max() < 1
    assert average_precision_score(label, written) == pytest.approx(scores.heads[""].mAP, abs=1e-12)
    told = vivit_jax.compare([tmp_path / "evaluation.json"] * 2, by_video=True, speed=False, resamples=100).to_dict()
    assert told["runs"][0]["mAP"] == pytest.approx(scores.heads[""].mAP, abs=1e-12)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_rows_of_predictions_have_it_too_and_begin_with_the_surest_class(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    label = (np.random.default_rng(1).random((VIDEOS, 3)) < 0.3).astype(np.uint8)
    logits = np.float32(1.4) * logits_of(label, skill=0.2)  # so sure that float32 would round some probabilities to 1
    model = types.SimpleNamespace(multi_label=True, labels=LABELS)
    table = RowsOfModel(model, top_k=3)
    with open_rows(tmp_path / f"rows{suffix}", table, {}, every=None) as file:
        for number, of_video in enumerate(logits):
            file.add(table.rows(str(number), WindowScores(0, 0.0, 1.0, probabilities_of(model, {"": of_video}))))
            file.end(str(number))
    rows = read_rows(tmp_path / f"rows{suffix}")
    assert [row["label"] for row in rows[::3]] == [LABELS[best] for best in logits.argmax(axis=1)]
    written = np.zeros_like(logits, np.float64)
    for row in rows:
        written[int(row["video"]), LABELS.index(row["label"])] = float(row["probability"])
    assert average_precision_score(label, written) == pytest.approx(evaluation(label, logits, LABELS).heads[""].mAP, abs=1e-12)


def read_rows(path):
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    text = path.read_text()
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else list(csv.DictReader(text.splitlines()))


def test_two_classes_have_the_area_that_was_told(tmp_path):
    label = np.random.default_rng(1).integers(0, 2, VIDEOS)
    scores = evaluation(label, logits_of(label[:, None] == np.arange(2), skill=0.1), LABELS[:2])
    written = columns(scores, tmp_path, LABELS[:2])
    assert roc_auc_score(label, written[:, 1]) == pytest.approx(scores.heads[""].auc, abs=1e-12)
