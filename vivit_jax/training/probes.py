"""Heads that are fitted to frozen features: a multinomial logistic regression, or nearest neighbours, each with one or two settings.

The settings are chosen by top-1 on features that the head was not fitted to: those of a validation split, or of folds that keep groups
together. The loss alone would choose too strong a regularisation, as it punishes confidence more than mistakes.
"""

import dataclasses
import itertools
import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

from vivit_jax.errors import UserError
from vivit_jax.models.probe.family import SMOOTHING
from vivit_jax.training.metrics import score, score_multi_label
from vivit_jax.weights.headless import Linear

FOLDS = 5
STRENGTHS = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-12, 9))  # 1e-6, 3.16e-6, ... 10,000
UNBOUNDED = ("C", "rate", "epochs")  # settings whose values have no natural end
NEIGHBOURS = (1, 3, 5, 10, 20, 50)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2)
TOLERANCE, ITERATIONS = 1e-6, 5_000
ROUNDING = 32 * float(np.finfo(np.float32).eps)  # of a feature's size: one that varies by less varies by rounding
UNSEEN = -20.0  # logit of a class without examples to fit; the largest logit of the other classes is never below 0

Setting = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Features and labels that heads are fitted to or scored on.

    Attributes:
      features: (n, d).
      label: class numbers (n,); or (n, classes) of zeros and ones where an example may have several.
      groups: (n,) names; examples of one group are never on both sides of a fold.
    """

    features: np.ndarray
    label: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: np.ndarray) -> "Examples":
        """The examples with these numbers, (m,)."""
        return Examples(self.features[rows], self.label[rows], self.groups[rows])

    def joined(self, other: "Examples") -> "Examples":
        """These examples, followed by the other ones."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in dataclasses.fields(self))
        return Examples(*map(np.concatenate, pairs))


class Head(Protocol):
    """Gives logits (b, classes) for features (b, d), in float64."""

    def __call__(self, features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b classes"]:
        """The logits."""


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """The head of kind `linear`."""

    layer: Linear

    def __call__(self, features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b classes"]:
        """The logits."""
        return features.astype(np.float64) @ self.layer.kernel + self.layer.bias


@dataclasses.dataclass(frozen=True)
class NearestHead:
    """The head of kind `knn`: the nearest keys by cosine, each of which votes for its class with the weight exp(cosine / temperature).

    Attributes:
      keys: (n, d), the features of examples whose classes are known, of norm 1.
      classes: (n, classes) of zeros and ones.
      neighbours: how many keys vote.
      temperature: the lower it is, the more weight the nearest of them have.
    """

    keys: np.ndarray
    classes: np.ndarray
    neighbours: int
    temperature: float

    def __call__(self, features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b classes"]:
        """The logits: log-probabilities."""
        cosine = unit(features.astype(np.float64)) @ self.keys.T
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, : self.neighbours]
        cosine = np.take_along_axis(cosine, nearest, axis=1)
        weights = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / self.temperature)
        shares = (weights / weights.sum(axis=1, keepdims=True))[:, None] @ self.classes[nearest]
        return np.log((1 - SMOOTHING) * shares[:, 0] + SMOOTHING / self.classes.shape[1])


@dataclasses.dataclass(frozen=True)
class Tried:
    """A setting, and the scores of its head on features that the head was not fitted to.

    Attributes:
      setting: values by name.
      loss: mean cross-entropy.
      top1: the share that is right, in 0..1; mean average precision where an example may have several labels.
    """

    setting: Setting
    loss: float
    top1: float


@dataclasses.dataclass(frozen=True)
class LinearKind:
    """The kind `linear`: multinomial logistic regression on standardised features, by scikit-learn."""

    settings: tuple[Setting, ...] = tuple({"C": strength} for strength in STRENGTHS)

    def fit(self, examples: Examples, classes: int, setting: Setting) -> LinearHead:
        """A head fitted to the examples; its kernel and bias include the standardisation of the features.

        A feature that varies by its rounding alone has no weight. Divided by so small a deviation, it would look like any other, and the
        model, which computes in float32, could not repeat it.

        Raises:
          UserError: for examples of one class.
        """
        from sklearn.preprocessing import StandardScaler  # takes a while to import

        scaler, features = StandardScaler(), examples.features.astype(np.float64)
        standard = scaler.fit_transform(features)
        standard[:, scaler.scale_ <= ROUNDING * np.abs(features).max(axis=0)] = 0
        fitted = _fit_each if examples.label.ndim == 2 else _fit_one_of
        kernel, bias = fitted(standard, examples.label, classes, setting["C"])
        kernel = kernel / scaler.scale_[:, None]
        return LinearHead(Linear(kernel, bias - scaler.mean_ @ kernel))


@dataclasses.dataclass(frozen=True)
class NearestKind:
    """The kind `knn`: nothing is fitted; the head keeps the features themselves."""

    settings: tuple[Setting, ...] = tuple({"neighbours": n, "temperature": t} for n, t in itertools.product(NEIGHBOURS, TEMPERATURES))

    def fit(self, examples: Examples, classes: int, setting: Setting) -> NearestHead:
        """A head that keeps these examples.

        Raises:
          UserError: for examples that may have several labels, or that are all of one class.
        """
        check_one_class_each(several=examples.label.ndim == 2)
        present_classes(examples.label)
        one_hot = (examples.label[:, None] == np.arange(classes)).astype(np.float64)
        keys = unit(examples.features.astype(np.float64))
        return NearestHead(keys, one_hot, min(int(setting["neighbours"]), len(keys)), setting["temperature"])


KINDS = {"linear": LinearKind, "knn": NearestKind}
Kind = LinearKind | NearestKind


def choose(kind: Kind, train: Examples, val: Examples | None, classes: int) -> tuple[Tried, ...]:
    """Tries every setting of a kind: fits it on `train` and scores it on `val`, or without `val` over folds of `train`.

    Returns:
      All that was tried, the best first: by the highest top-1, and among equals by the lowest loss.

    Raises:
      UserError: for examples of one class, or without `val` of one group.
    """
    folded = [(train, val)] if val is not None else [tuple(map(train.take, fold)) for fold in folds(train.label, train.groups)]
    label = np.concatenate([held.label for _, held in folded])
    scored = [
        (setting, np.concatenate([kind.fit(fit, classes, setting)(held.features) for fit, held in folded])) for setting in kind.settings
    ]
    return tried_in_order(scored, label, classes)


def tried_in_order(scored: Sequence[tuple[Setting, np.ndarray]], label: np.ndarray, classes: int) -> tuple[Tried, ...]:
    """Scores settings, and gives them the best first.

    Args:
      scored: settings, each with the logits (b, classes) that its head gives for the held-out examples.
      label: class numbers (b,), or (b, classes) of zeros and ones where an example may have several.
      classes: the number of classes.
    """
    names = [str(number) for number in range(classes)]
    tried = []
    for setting, logits in scored:
        scores = score_multi_label(logits, label, names) if label.ndim == 2 else score(logits, label, names)
        tried.append(Tried(setting, scores.loss, float(scores.mAP or 0) if label.ndim == 2 else scores.top1))
    return tuple(sorted(tried, key=lambda one: (-one.top1, one.loss)))


def at_an_end(tried: Sequence[Tried]) -> list[str]:
    """The settings whose best value is the least or the largest that was tried, so that a better one may lie beyond."""
    best = tried[0].setting

    def is_at_an_end(name: str) -> bool:
        values = [one.setting[name] for one in tried]
        return best[name] in (min(values), max(values))

    return [name for name in UNBOUNDED if name in best and is_at_an_end(name)]


def folds(label: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit, rows held out) for up to five folds of examples with these labels and groups.

    No group is on both sides. Where each example has one label, the classes are spread evenly over the folds, and a fold that leaves a
    single class to fit to, as few groups may, is left out, unless all do.

    Raises:
      UserError: for examples of a single group.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold  # take a while to import

    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        raise one_group()
    several = label.ndim == 2
    splitter = GroupKFold(count) if several else StratifiedGroupKFold(count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn warns of a class with fewer examples than folds
        try:
            parts = list(splitter.split(label, None if several else label, groups))
        except ValueError:  # every class has fewer examples than folds
            parts = list(GroupKFold(count).split(label, None, groups))
    return [(fit, held) for fit, held in parts if several or len(np.unique(label[fit])) > 1] or parts


def one_class() -> UserError:
    """The error where there is nothing to tell apart."""
    return UserError("a head needs videos of two or more classes to be fitted to, and all of these are of one: give a larger split")


def one_group() -> UserError:
    """The error where nothing can be held out."""
    return UserError(
        "settings are chosen on held-out groups, and all videos are of one group: give a val split, or --groups that makes two or more"
    )


def check_one_class_each(*, several: bool) -> None:
    """Refuses kind `knn` where a video may have several classes."""
    if several:
        raise UserError("kind knn needs videos of one class each, and a video of this data set may have several: use --kind linear")


def unit(features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
    """The features scaled to norm 1; rows of zeros stay zeros."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _fit_one_of(features: np.ndarray, label: np.ndarray, classes: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias; the logits of the classes that have examples add up to 0."""
    present = present_classes(label)
    weights, bias = _logistic(features, label, strength)
    if len(present) == 2:  # scikit-learn's one score is the difference of two logits
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    kernel, biases = np.zeros((features.shape[1], classes)), np.full(classes, UNSEEN)
    kernel[:, present], biases[present] = weights.T, bias
    return kernel, biases


def _fit_each(features: np.ndarray, label: np.ndarray, classes: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of one logistic regression per class; a class that all or no examples have gets a constant, its smoothed log-odds."""
    kernel, biases = np.zeros((features.shape[1], classes)), np.zeros(classes)
    for number in range(classes):
        has, count = label[:, number], int(label[:, number].sum())
        if 0 < count < len(has):
            weights, bias = _logistic(features, has, strength)
            kernel[:, number], biases[number] = weights[0], bias[0]
        else:
            biases[number] = np.log((count + 0.5) / (len(has) - count + 0.5))
    return kernel, biases


def _logistic(features: np.ndarray, label: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression  # takes a while to import
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(1):  # threads cost such small products far more than they save, and the bits would depend on their number
        fitted = LogisticRegression(C=strength, tol=TOLERANCE, max_iter=ITERATIONS).fit(features, label)
    return fitted.coef_, fitted.intercept_


def present_classes(label: np.ndarray) -> np.ndarray:
    """The numbers of the classes that labels (n,) are of, ascending.

    Raises:
      UserError: for labels of one class, to which no head can be fitted.
    """
    present = np.unique(label)
    if len(present) < 2:
        raise one_class()
    return present
