"""The two JSON files of a model directory: config.json on the network and its classes, preprocess.json on its input."""

import dataclasses
import json
import os
import pathlib
import typing
from collections.abc import Iterable, Mapping, Sequence

from vivit_jax import files, places
from vivit_jax.errors import UserError, in_one_line, unknown_name
from vivit_jax.heads import Labels
from vivit_jax.models.families import DEFAULT, ModelConfig, family_named
from vivit_jax.typed import typed

CONFIG, PREPROCESS, WEIGHTS = "config.json", "preprocess.json", "model.safetensors"
ARCHITECTURE = "vivit_jax"
KEYS = ("architecture", "family", "model", "id2label", "problem_type", "provenance", "average", "contents_sha256", "weights_sha256")
LARGEST_JSON = 2**26  # bytes; class names of a million classes take less

# What the logits mean, in the words of Hugging Face's configs.
SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"

# What is averaged over the views of a video.
LOGITS, PROBABILITIES = "logits", "probabilities"


def is_model_dir(path: str | os.PathLike) -> bool:
    """Whether a directory is one of ours.

    Raises:
      UserError: if it has a config.json that cannot be read, so that nobody knows.
    """
    config = pathlib.Path(path) / CONFIG
    return os.path.lexists(config) and read_json(config).get("architecture") == ARCHITECTURE


def read_json(path: pathlib.Path) -> dict:
    """The JSON object in a file.

    Raises:
      UserError: if it is missing or holds anything else.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file")
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes, more than the limit of {LARGEST_JSON:,}: refused")
        value = files.read_json(path)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def read_config(path: pathlib.Path) -> dict:
    """The contents of a model directory's config.json; refuses that of anything else, and unknown keys."""
    if places.kind_of(path) in (places.RUN, places.DATA_SET):
        raise UserError(f"{path} is not a model directory: {places.described(path)}")
    config = read_json(path / CONFIG)
    if config.get("architecture") != ARCHITECTURE:
        raise UserError(
            f"{path / CONFIG} is not of a vivit_jax model: architecture is {config.get('architecture')!r}, not {ARCHITECTURE!r}"
        )
    for key in config:
        if key not in KEYS:
            raise unknown_name(f"key in {path / CONFIG}", key, KEYS)
    return config


def model_config_in(config: Mapping, path: pathlib.Path) -> ModelConfig:
    """The network that a config.json describes; `path` is the model directory, for errors."""
    family = family_named(str(config.get("family", DEFAULT)))  # models saved by older versions do not say
    return from_json(family.config, config.get("model"), path / CONFIG)


def from_json(cls: type, values: object, path: pathlib.Path) -> object:
    """A `cls` made from a JSON object; refuses unknown and missing keys."""
    if not isinstance(values, dict):
        raise UserError(f"{path} must describe a {cls.__name__} by a JSON object, got {values!r}")
    hints, known = typing.get_type_hints(cls), [field.name for field in dataclasses.fields(cls)]
    for key in values:
        if key not in known:
            raise unknown_name(f"key in {path}", key, known)
    try:
        return cls(**{key: typed(hints[key], value, key) for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {in_one_line(error)}") from None


def default_labels(model_config: ModelConfig) -> Labels:
    """LABEL_0, LABEL_1, ... of each head."""
    names = {head: tuple(f"LABEL_{index}" for index in range(count)) for head, count in model_config.heads.items()}
    return names.get("", names or ())


def id2label_of(model_config: ModelConfig, labels: Sequence[str] | Mapping[str, Sequence[str]] | None) -> dict:
    """The labels as config.json holds them, by index, or by head and index; None names them LABEL_0, LABEL_1, ..."""
    labels = default_labels(model_config) if labels is None else labels
    by_head = labels if isinstance(labels, Mapping) else {"": labels} if model_config.heads else {}
    counts = {head: len(names) for head, names in by_head.items()}
    if counts != model_config.heads:
        raise UserError(f"labels must name every class once: the model has {_counts(model_config.heads)}, got {_counts(counts)}")
    tables = {head: {str(index): str(name) for index, name in enumerate(names)} for head, names in by_head.items()}
    for table in tables.values():
        _check_text(table.values(), "labels")
    return tables.get("", tables)


def labels_in(model_config: ModelConfig, id2label: object, path: pathlib.Path) -> Labels:
    """The labels that a config.json holds, in the order of the logits; `path` is the file, for errors."""
    heads = model_config.heads
    tables = {"": id2label} if "" in heads else id2label
    try:
        labels = {head: tuple(tables[head][str(index)] for index in range(count)) for head, count in heads.items()}
        whole = all(len(tables[head]) == count for head, count in heads.items())
    except (KeyError, TypeError):
        whole = False
    if not whole or not all(isinstance(name, str) for names in labels.values() for name in names):
        raise UserError(f"{path}: id2label must name every class, {_counts(heads)}, by its index")
    for names in labels.values():
        _check_text(names, f"{path}: id2label")
    return labels.get("", labels or ())


def is_multi_label(config: Mapping, path: pathlib.Path) -> bool:
    """Whether a video may have several classes, by a config.json; `path` is the file, for errors."""
    problem_type = config.get("problem_type", SINGLE_LABEL)  # models saved by older versions do not say
    if problem_type not in (SINGLE_LABEL, MULTI_LABEL):
        raise unknown_name(f"problem_type in {path}", str(problem_type), (SINGLE_LABEL, MULTI_LABEL))
    return problem_type == MULTI_LABEL


def average_in(config: Mapping, path: pathlib.Path) -> str:
    """`logits` or `probabilities`, whichever a config.json averages over the views; it omits the default, logits. `path` is for errors."""
    average = config.get("average", LOGITS)
    if average not in (LOGITS, PROBABILITIES):
        raise unknown_name(f"average in {path}", str(average), (LOGITS, PROBABILITIES))
    return average


def _counts(heads: Mapping[str, int]) -> str:
    return " and ".join(f"{count} classes{f' of {head}' if head else ''}" for head, count in heads.items()) or "no head"


def _check_text(names: Iterable[str], where: str) -> None:
    """Refuses halves of characters, which JSON can spell and no file can hold."""
    for name in names:
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise UserError(f"{where}: {name!r} is not Unicode text")


def plain_provenance(provenance: Mapping) -> dict:
    """The provenance as JSON gives it back."""
    try:
        text = json.dumps(dict(provenance), allow_nan=False, ensure_ascii=False)
        text.encode()
        plain = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"provenance must be plain JSON values: {error}") from None
    return plain


def digest(config: Mapping, sampling: Mapping) -> str:
    """The SHA-256 of what config.json and preprocess.json say, however it is laid out; the weights have one of their own."""
    said = {name: value for name, value in config.items() if name not in ("contents_sha256", "weights_sha256")}
    return files.json_sha256([said, sampling])
