"""`init.head` probe: a head that is fitted to the frozen features before the first step (Kumar et al. 2022).

A fresh head's first gradients are of no use to the backbone, and move what it knows. A fitted one has little left to ask for. Nothing is
fitted again when a run goes on: the head is in its checkpoints, and one without any begins anew with the same.
"""

from typing import Any

import jax

from vivit_jax import console
from vivit_jax.config import Experiment
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.errors import UserError
from vivit_jax.inference.features import features
from vivit_jax.inference.probe import fit_heads
from vivit_jax.models.families import build
from vivit_jax.weights import Pretrained
from vivit_jax.weights.groups import Group
from vivit_jax.weights.headless import head_variables
from vivit_jax.weights.layers import flatten_variables, unflatten_variables


def with_probed_head(experiment: Experiment, dataset: VideoDataset, variables: Any) -> tuple[Any, Group]:
    """The variables with a linear head fitted to the training split, its regularisation chosen on the validation split where there is one,
    else by cross-validation; and what is told of it.

    Raises:
      UserError: in a run of several processes, for a split of one class, or a family that takes no linear head.
    """
    if jax.process_count() > 1:
        raise UserError("init.head probe is for one process: make a model by `vivit probe`, and take it by init.source and init.head keep")
    data, parallel = experiment.data, experiment.parallel
    backbone = Pretrained(build(experiment.model), variables, experiment.preprocess, dataset.labels)
    options = {"data": data, "parallel": parallel, "batch_size": experiment.evaluation.batch_size or experiment.training.batch_size}
    train = features(backbone, dataset, data.train_split, **options)
    has_val = data.val_split is not None and dataset.has(data.val_split)
    val = features(backbone, dataset, data.val_split, **options) if has_val else None
    heads = fit_heads(train, val, refit=False)
    for name, fitted in heads.items():
        best = fitted.tried[0]
        console.say(
            f"head {name}".rstrip() + f" fitted, C {best.setting['C']:g}: top-1 {best.top1:.4f} on {fitted.chosen_on} before the first step"
        )
    layers = {name: fitted.head.layer for name, fitted in heads.items()}
    flat = flatten_variables(variables) | head_variables(experiment.model, layers)
    done = f"logistic regression on the features of {len(train.features)} videos"
    return unflatten_variables(flat, scan_layers=getattr(experiment.model, "scan_layers", False)), Group("head", data.train_split, done)
