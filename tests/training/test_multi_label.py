"""Several labels a video, from training to a prediction: scores as scikit-learn counts them, the same on any number of devices."""

import json

import numpy as np
import pytest
import tiny
from brightness import VARIABLES, Brightness
from sklearn import metrics as sklearn_metrics

from vivit_jax.errors import UserError
from vivit_jax.runs.report.write import write_report
from vivit_jax.runs.train import train
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.evaluation import score_batches
from vivit_jax.training.forward import Watch
from vivit_jax.training.metrics import score_multi_label
from vivit_jax.weights.model_dir import Pretrained, load_model_dir

# A clip has its own brightness and all below; `noon` and brighter ones have none.
PRESENT = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], np.uint8)


class Several(tiny.EvaluationBatches):
    def __iter__(self):
        for batch in super().__iter__():
            yield batch | {"label": PRESENT[batch["label"]] * batch["valid"][:, None]}


class SeveralTraining(tiny.Batches):
    def __next__(self):
        batch = super().__next__()
        return batch | {"label": PRESENT[batch["label"]]}


@pytest.mark.parametrize("parallel", [ParallelConfig(data=1), ParallelConfig(data=2), ParallelConfig("pmap", data=4)], ids=str)
def test_scores_are_those_of_scikit_learn_on_any_number_of_devices(parallel):
    pretrained = Pretrained(Brightness(), VARIABLES, tiny.PREPROCESS, tiny.CLASSES, multi_label=True)
    found = score_batches(pretrained, Several("test", 8), parallel, Watch(shown=False))
    logits, present = found.logits[""].astype(np.float64), PRESENT[tiny.examples("test")["label"]]
    np.testing.assert_array_equal(found.label[""], present)
    scores = found.to_dict()
    precisions = [sklearn_metrics.average_precision_score(present[:, i], logits[:, i]) for i in range(3)]
    assert scores["mAP"] == pytest.approx(np.mean(precisions))
    assert scores["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(present[:, :3], logits[:, :3], average="macro"))
    assert scores["per_class"]["noon"] == {"examples": 0, "average_precision": None, "auc": None}
    assert [scores["per_class"][name]["examples"] for name in tiny.CLASSES] == present.sum(axis=0).tolist()
    probability = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(found.probabilities[""], probability)
    losses = [sklearn_metrics.log_loss(present[:, i], probability[:, i], labels=[0, 1]) for i in range(4)]
    assert scores["loss"] == pytest.approx(np.mean(losses))
    assert scores["hits"] == present[np.arange(27), logits.argmax(axis=1)].sum()
    assert scores["examples"] == 27
    assert found.summary().keys() == {"mAP", "top1", "top5", "loss", "auc"}


def test_what_no_class_defines_is_none():
    scores = score_multi_label(np.ones((2, 2)), np.zeros((2, 2), np.uint8), ("a", "b"))
    assert (scores.mAP, scores.auc, scores.hits) == (None, None, 0)


@pytest.fixture
def several(monkeypatch):
    """`train` reads the tiny data set with several labels a clip."""

    class DataSet(tiny.DataSet):
        def class_counts(self, split):
            return {"": PRESENT[tiny.examples(split)["label"]].sum(axis=0) + np.array([0, 0, 0, 1])}

    tiny.take_the_place_of_data(
        monkeypatch.setattr,
        DataSet(multi_label=True),
        lambda *_, batch_size, seed, shard: SeveralTraining(batch_size, shard, seed),
        lambda records, *_, views, flip, batch_size, shard: Several(records.split, batch_size, views),
    )


@pytest.mark.parametrize(("best", "metric", "sign"), [(None, "mAP", 1), ("loss", "loss", -1)], ids=["mAP", "loss"])
@pytest.mark.slow
def test_a_run_learns_several_labels_keeps_the_best_and_says_what_its_logits_mean(several, tmp_path, capfd, best, metric, sign):
    loss, evaluation = {"name": "sigmoid", "class_weights": "balanced"}, {"every_steps": 10, "best": best}
    experiment = tiny.experiment(loss=loss, training={"steps": 20}, evaluation=evaluation)
    train(experiment, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    validated = [sign * row[f"val/{metric}"] for row in rows if "val/mAP" in row]
    assert len(validated) == 2
    assert (tmp_path / "run/model_last").exists() == (validated[0] >= validated[1])
    scores = json.loads((tmp_path / "run/evaluation.json").read_text())
    prevalence = np.mean([row["examples"] for row in scores["per_class"].values() if row["examples"]]) / 27  # what guessing scores
    assert scores["mAP"] > prevalence + 0.15
    assert rows[-1]["test/mAP"] == scores["mAP"]
    model = load_model_dir(tmp_path / "run/model")
    assert model.multi_label
    assert [sorted(row["label"]) for row in scores["predictions"]] == [
        sorted(tiny.CLASSES[number] for number in np.flatnonzero(PRESENT[label])) for label in tiny.examples("test")["label"]
    ]
    assert f"mAP {scores['mAP']:.4f} (of 3 classes in 27" in capfd.readouterr().out
    assert "mean average precision" in write_report(tmp_path / "run").read_text()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, "may have several labels each: set loss.name to sigmoid"),
        ({"loss": {"name": "sigmoid"}, "evaluation": {"best": "mean_class"}}, "unknown evaluation.best 'mean_class'"),
        ({"loss": {"name": "sigmoid", "class_weights": (1.0, 2.0)}}, "got 2 numbers for classes"),
    ],
)
def test_what_does_not_fit_several_labels_is_refused_before_training(several, tmp_path, sections, message):
    experiment = tiny.experiment(**sections)
    with pytest.raises(UserError, match=message):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()
