"""`init.head=probe`: a head that is fitted to the frozen features before the first step (Kumar et al. 2022).

A fresh head's first gradients are useless to the backbone and damage its features; those of a fitted head are small. A resumed run does not
fit again, as its checkpoints hold the head; a run without checkpoints fits the same head again.

As training goes on from it, the head need not be the best one, but it must be calm. One that is hardly regularised, which a few clips to
validate on may choose, has weights ten times as large, and throws the backbone about in the first steps.
"""

from typing import Any

import jax

from vivit_jax import console
from vivit_jax.config import Experiment
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.groups import grouping
from vivit_jax.errors import UserError
from vivit_jax.inference.features import features
from vivit_jax.inference.fitted_heads import fit_heads
from vivit_jax.models.families import build
from vivit_jax.weights import Pretrained
from vivit_jax.weights.headless import check_linear_heads, head_variables
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.report import ReportLine

STRENGTH = {"C": 0.1}


def with_probed_head(experiment: Experiment, dataset: VideoDataset, variables: Any) -> tuple[Any, ReportLine]:
    """Fits a linear head to the training split, and scores it on the validation split, or without one by cross-validation.

    Returns:
      The variables with that head, and a line on it for the report of where parameters came from.

    Raises:
      UserError: in a run of several processes, for a split of one class, or a family that takes no linear head.
    """
    if jax.process_count() > 1:
        raise UserError(
            "init.head=probe is for one process: make a model with `vivit probe`, and start from it with init.source and init.head=keep"
        )
    check_linear_heads(experiment.model)
    if experiment.init.source is None:
        console.warn("init.head=probe fits a head to the features of random weights: init.source names no pretrained model")
    data, parallel = experiment.data, experiment.parallel
    backbone = Pretrained(build(experiment.model), variables, experiment.preprocess, dataset.labels)
    options = {"data": data, "parallel": parallel, "batch_size": experiment.evaluation.batch_size or experiment.training.batch_size}
    console.say(f"fitting the head to the frozen features of {len(dataset.source(data.train_split)):,} videos of {data.train_split} ...")
    train = features(backbone, dataset, data.train_split, **options)
    has_val = data.val_split is not None and dataset.has(data.val_split)
    val = features(backbone, dataset, data.val_split, **options) if has_val else None
    heads = fit_heads(train, val, settings=(STRENGTH,), refit=False, group_of=grouping(dataset))
    for name, fitted in heads.items():
        best = fitted.tried[0]
        console.say(
            f"head {name}".rstrip() + f" fitted, C {best.setting['C']:g}: top-1 {best.top1:.4f} on {fitted.chosen_on} before the first step"
        )
    layers = {name: fitted.head.layer for name, fitted in heads.items()}
    flat = flatten_variables(variables) | head_variables(experiment.model, layers)
    done = f"logistic regression on the features of {len(train.features)} videos"
    variables = unflatten_variables(flat, experiment.model)
    return variables, ReportLine("head", data.train_split, done)
