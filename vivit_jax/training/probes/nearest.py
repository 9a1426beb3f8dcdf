"""The head of kind `knn`: the nearest neighbours of a video among the examples, by cosine."""

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float

from vivit_jax.errors import UserError
from vivit_jax.models.probe.family import SMOOTHING
from vivit_jax.training.probes.examples import Examples, present_classes
from vivit_jax.training.probes.settings import Setting

NEIGHBOURS = (1, 3, 5, 10, 20, 50)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2)


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
        cosine = _unit(features.astype(np.float64)) @ self.keys.T
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, : self.neighbours]
        cosine = np.take_along_axis(cosine, nearest, axis=1)
        weights = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / self.temperature)
        shares = (weights / weights.sum(axis=1, keepdims=True))[:, None] @ self.classes[nearest]
        return np.log((1 - SMOOTHING) * shares[:, 0] + SMOOTHING / self.classes.shape[1])


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
        keys = _unit(examples.features.astype(np.float64))
        return NearestHead(keys, one_hot, min(int(setting["neighbours"]), len(keys)), setting["temperature"])


def check_one_class_each(*, several: bool) -> None:
    """Refuses kind `knn` where a video may have several classes."""
    if several:
        raise UserError("kind knn needs videos of one class each, and a video of this data set may have several: use --kind linear")


def _unit(features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
    """The features scaled to norm 1; rows of zeros stay zeros."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
