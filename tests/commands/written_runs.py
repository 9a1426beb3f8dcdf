"""Runs whose scores are made up and whose files are the project's own: what `vivit compare` reads, without a training."""

import json
import shutil

import numpy as np

from vivit_jax import config
from vivit_jax.data.config import DataConfig
from vivit_jax.inference.scores import Conditions, to_record, write_record
from vivit_jax.training.config import EvaluationConfig
from vivit_jax.training.evaluation import Evaluation
from vivit_jax.training.metrics import joint_hits, score, score_clips, score_multi_label


def random_logits(label, classes, skill, seed, *, of_all=0):
    """Noise, and `skill` where the label is. Those of one `of_all` share half of the noise, as models trained alike are wrong alike."""
    noise = np.random.default_rng(seed).normal(size=(len(label), classes))
    shared = np.random.default_rng([of_all, 1]).normal(size=(len(label), classes))
    present = label if label.ndim == 2 else label[:, None] == np.arange(classes)
    return noise + shared + skill * present


def evaluation(label, logits, labels, *, views=2):
    """An evaluation of these logits (by head for several), as a run's test makes it; `label` (n, classes) for several labels a video."""
    label, logits, labels = (values if isinstance(values, dict) else {"": values} for values in (label, logits, labels))
    multi_label = label[""].ndim == 2 if "" in label else False
    heads = {name: (score_multi_label if multi_label else score)(logits[name], label[name], labels[name]) for name in label}
    hits, hits5 = (heads[""].hits, heads[""].hits5) if "" in heads else joint_hits(logits, label)
    best = {
        name: np.argsort(-values, axis=1)[:, None, :5].repeat(views, axis=1) for name, values in logits.items()
    }  # all views say the same
    clips = {name: score_clips(best[name], label[name]) for name in label}
    return Evaluation(views, heads, clips, hits, hits5, np.arange(len(next(iter(label.values())))), label, logits, multi_label)


def write_evaluation(path, scores, *, names=None, name="toys", split="test", views=(2, 1), step=None):
    """`evaluation.json` of these scores."""
    names = names or {int(index): f"{split}{index}" for index in scores.index}
    write_record(to_record(scores, Conditions(name, split, views, step=step), names), path)
    return path


def write_run(folder, scores, model, data_dir, *, name="toys", model_dir=None, seconds=None, **options):
    """A work directory that holds this evaluation; of a training that took so many `seconds`."""
    folder.mkdir(parents=True)
    experiment = config.Experiment(
        model=model, name=folder.name, data=DataConfig(name=name, data_dir=str(data_dir)), evaluation=EvaluationConfig(test_views=(2, 1))
    )
    surroundings = {"versions": {}, "devices": {"kind": "cpu", "count": 1, "hosts": 1}, "git": None}
    (folder / "config.json").write_text(json.dumps({"config": config.to_dict(experiment), **surroundings}))
    if model_dir is not None:
        shutil.copytree(model_dir, folder / "model")
    rate = None if seconds is None else 10 * experiment.training.batch_size / seconds
    rows = [{"step": step, "train/loss": 1 / step} | ({"train/clips_per_second": rate} if rate else {}) for step in (5, 10)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_evaluation(folder / "evaluation.json", scores, name=name, **options)
    return folder
