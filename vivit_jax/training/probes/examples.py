"""Features and labels that heads are fitted to, the folds they are divided into, and the errors where they are too few."""

import dataclasses
import warnings

import numpy as np

from vivit_jax.errors import UserError

FOLDS = 5


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


def present_classes(label: np.ndarray) -> np.ndarray:
    """The numbers of the classes that labels (n,) are of, ascending.

    Raises:
      UserError: for labels of one class, to which no head can be fitted.
    """
    present = np.unique(label)
    if len(present) < 2:
        raise one_class()
    return present


def one_class() -> UserError:
    """The error where there is nothing to tell apart."""
    return UserError("a head needs videos of two or more classes to be fitted to, and all of these are of one: give a larger split")


def one_group() -> UserError:
    """The error where nothing can be held out."""
    return UserError(
        "settings are chosen on held-out groups, and all videos are of one group: give a val split, or --groups that makes two or more"
    )
