"""Matches the classes of a model with those of a data set, by name, and says what it had to assume."""

import dataclasses
import json
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from vivit_jax import console
from vivit_jax.data.dataset import VideoDataset
from vivit_jax.errors import UserError
from vivit_jax.files import read_list
from vivit_jax.heads import Labels, by_head
from vivit_jax.weights import Pretrained
from vivit_jax.weights.model_json import default_labels

OF_MODEL, OF_FILE, ASSUMED = "model", "file", "assumed from the data set"


@dataclasses.dataclass(frozen=True)
class Agreement:
    """The classes that a model's logits stand for.

    Attributes:
      labels: their names in the order of the logits, or those of each head.
      origin: where the names come from: `model`, `file`, or `assumed from the data set`, if nothing says that its order is the model's.
    """

    labels: Labels
    origin: str


def agree(pretrained: Pretrained, dataset: VideoDataset, *, from_file: bool = False) -> Agreement:
    """Matches the classes of a model with those of a data set, by name.

    Args:
      pretrained: the model; if it has no class names, those of the data set are assumed, in its order, with a warning.
      dataset: its classes must all be the model's, in any order.
      from_file: whether the model's class names were read from a file.

    Raises:
      UserError: if the heads differ, the model calls two classes the same, or the data set has a class that the model does not have.
    """
    of_model, of_data = dict(by_head(pretrained.labels)), by_head(dataset.labels)
    if of_model.keys() != of_data.keys():
        raise UserError(
            f"the model has heads {_names(of_model)} and data set {dataset.name} has {_names(of_data)}: use a model with its heads"
        )
    unnamed = by_head(default_labels(pretrained.model.config))
    assumed = False
    for head, names in of_data.items():
        if tuple(of_model[head]) == tuple(unnamed[head]) and tuple(names) != tuple(unnamed[head]):
            _check_as_many(len(unnamed[head]), len(names), dataset.name, head)
            of_model[head], assumed = names, True
        _check_distinct(of_model[head], head)
        _check_known(names, of_model[head], dataset.name, head)
    if assumed:
        console.warn(
            f"the model's classes have no names: they are assumed to be those of data set {dataset.name}, in its order; if the model was "
            "trained with another order, the scores are wrong: `vivit evaluate --labels FILE` names its classes"
        )
    return Agreement(of_model.get("", of_model), ASSUMED if assumed else OF_FILE if from_file else OF_MODEL)


def with_labels(pretrained: Pretrained, path: pathlib.Path) -> Pretrained:
    """The model with its class names read from a file: one name a line, a JSON list, or JSON with `id2label` or names by number.

    Raises:
      UserError: for a file that does not name each class once, or a model with several heads.
    """
    labels = pretrained.labels
    if isinstance(labels, Mapping):
        raise UserError(f"--labels names the classes of one head, and the model has {_names(labels)}")
    names = _read(path)
    if len(names) != len(labels):
        raise UserError(
            f"--labels {path} names {len(names)} classes, but the model has {len(labels)}: give one name a line, in the model's order"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"--labels {path} names {twice[0]!r} twice: each class needs a name of its own")
    return dataclasses.replace(pretrained, labels=tuple(names))


def numbers_by_name(of_model: Sequence[str], of_data: Sequence[str]) -> list[int] | None:
    """The model's number of each class of the data set, by name, or else by spelling; None where the two have not the same classes."""
    for key in (str, _key):
        numbers = {key(name): number for number, name in enumerate(of_model)}
        if len(numbers) == len(of_model) and sorted(numbers) == sorted(map(key, of_data)):
            return [numbers[key(name)] for name in of_data]
    return None


@dataclasses.dataclass(frozen=True)
class Relabelled:
    """Batches of a data set with their labels renumbered as a model numbers its classes.

    Attributes:
      batches: batches with `label` in the data set's numbers.
      of_model: the model's class names.
      of_data: the data set's class names, all among the model's.
    """

    batches: Iterable[dict]
    of_model: Labels
    of_data: Labels

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict]:
        model, data = by_head(self.of_model), by_head(self.of_data)
        numbers = {head: _numbers(model[head], names) for head, names in data.items()}
        for batch in self.batches:
            renamed = {head: _renamed(label, numbers[head], len(model[head])) for head, label in by_head(batch["label"]).items()}
            yield batch | {"label": renamed.get("", renamed)}


def _numbers(of_model: Sequence[str], of_data: Sequence[str]) -> np.ndarray:
    """The model's number of each class of the data set."""
    number = {name: i for i, name in enumerate(of_model)}
    return np.array([number[name] for name in of_data], np.int32)


def _renamed(label: np.ndarray, numbers: np.ndarray, classes: int) -> np.ndarray:
    if label.ndim == 1:
        return numbers[label]
    renamed = np.zeros((len(label), classes), label.dtype)
    renamed[:, numbers] = label
    return renamed


def _check_as_many(of_model: int, of_data: int, dataset: str, head: str) -> None:
    if of_model != of_data:
        raise UserError(
            f"the model{f' head {head!r}' if head else ''} has {of_model} classes without names, and data set {dataset} has {of_data}: "
            "give their names with --labels FILE, one a line, in the order of the model's classes"
        )


def _check_distinct(of_model: Sequence[str], head: str) -> None:
    """Refuses two classes of one name, one of which would count all examples of both."""
    number = {}
    for i, name in enumerate(of_model):
        if name in number:
            raise UserError(
                f"the model{f' of head {head!r}' if head else ''} calls two classes {name!r}, numbers {number[name]} and {i}, so that "
                "they cannot be told apart: " + ("correct its config.json" if head else "give them names by --labels FILE")
            )
        number[name] = i


def _check_known(names: Sequence[str], of_model: Sequence[str], dataset: str, head: str) -> None:
    known = set(of_model)
    unknown = [name for name in names if name not in known]
    if not unknown:
        return
    spelt = {_key(name): name for name in of_model}
    alike = [(name, spelt[_key(name)]) for name in unknown if _key(name) in spelt]
    hint = f"; did you mean {alike[0][1]!r} by {alike[0][0]!r}? ({len(alike)} differ only in spelling)" if alike else ""
    raise UserError(
        f"{len(unknown)} of the {len(names)} classes of data set {dataset} are not among the model's {len(of_model)}"
        f"{f' of head {head!r}' if head else ''}: the first is {unknown[0]!r}; the model's first is {of_model[0]!r}{hint}"
        + ("; --labels FILE gives the model's classes the data set's names" if alike and not head else "")
        + ("" if alike else "; it can be scored on a set of its own classes only, or after `vivit probe` has fitted it a head for these")
    )


def _key(name: str) -> str:
    """A name without its case, Unicode form, blanks and punctuation, by which spellings are compared."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold()) or name


def _read(path: pathlib.Path) -> list[str]:
    try:
        text = read_list(path)
    except OSError as error:
        raise UserError(f"--labels {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"--labels {path} is not UTF-8: save it as UTF-8") from None
    if not text.lstrip().startswith(("[", "{")):
        return [line for line in text.splitlines() if line.strip()]
    try:
        names = json.loads(text)
        names = names.get("id2label", names) if isinstance(names, dict) else names
        names = [names[str(i)] for i in range(len(names))] if isinstance(names, dict) else names
    except (ValueError, KeyError, RecursionError):
        raise UserError(f"--labels {path} is neither a JSON list of names nor names by number from 0: give one name a line") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"--labels {path} must hold a list of names, each a string")
    return names


def _names(heads: Mapping) -> str:
    return ", ".join(sorted(heads)) if list(heads) != [""] else "one, without a name,"
