"""Our model directory: config.json, preprocess.json and model.safetensors. Data only; nothing in it is ever executed.

`config.json` holds the model's configuration, its class names by index (`id2label`; for several heads, one such table per head), the
SHA-256 of the weights, and that of the contents of the two JSON files. `model.safetensors` holds float32 parameters by path, layer by
layer whatever `scan_layers` is.
"""

import dataclasses
import glob
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import flax.linen as nn
import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from vivit_jax.errors import UserError, in_one_line, unknown_name
from vivit_jax.files import exchange, is_url, sha256, sync
from vivit_jax.heads import Labels
from vivit_jax.models.families import DEFAULT, ModelConfig, build, family_named, family_of
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.parameters import check_parameters, variable_shapes
from vivit_jax.weights.tensors import check_header, write_safetensors

CONFIG, PREPROCESS, WEIGHTS = "config.json", "preprocess.json", "model.safetensors"
ARCHITECTURE = "vivit_jax"
REPLACED = 10  # how often a model is read again because it was replaced meanwhile
STALE = 24 * 3600  # seconds without a change after which a leftover is removed
KEYS = ("architecture", "family", "model", "id2label", "problem_type", "provenance", "contents_sha256", "weights_sha256")
LARGEST_CLIP = 2**30  # bytes; finding the shapes of a model with larger clips would take gigabytes
LARGEST_JSON = 2**26  # bytes; class names of a million classes take less
LARGEST_WEIGHT = 1e30  # above it a product overflows; weights of a model that works are nowhere near

# What the logits mean, in the words of Hugging Face's configs.
SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A model with its weights, and all that is needed to use them as they were trained.

    Attributes:
      model: the Flax module; `model.config` describes it.
      variables: `params`, and the model's other collections by name: NumPy arrays on the host, in the shape that `model` wants;
        `jax.device_put` them to apply often.
      preprocess: how a video becomes the model's input.
      labels: class names in the order of the logits, or of each head by name; empty for a model without a head.
      multi_label: whether a video may have several classes: their probabilities are then the sigmoids of the logits, else their softmax.
      provenance: how the weights came to be, as plain JSON values: whatever was given when they were saved; None where nothing was.
    """

    model: nn.Module
    variables: dict
    preprocess: Preprocess
    labels: Labels
    multi_label: bool = False
    provenance: dict | None = None

    def __repr__(self) -> str:
        heads = " + ".join(f"{count} {name}".strip() for name, count in self.model.config.heads.items())
        count = sum(leaf.size for leaf in jax.tree.leaves(self.variables))
        return f"Pretrained({self.model.config.family}, clip {self.model.config.clip}, {count:,} numbers, {heads or 'no'} classes)"

    @property
    def activation(self) -> Callable[[jax.Array], jax.Array]:
        """From logits (b, classes) to probabilities."""
        return jax.nn.sigmoid if self.multi_label else jax.nn.softmax

    @property
    def problem_type(self) -> str:
        """What the logits mean, in the words of Hugging Face's configs."""
        return MULTI_LABEL if self.multi_label else SINGLE_LABEL


def save_pretrained(
    path: str | os.PathLike,
    model_config: ModelConfig,
    variables: Mapping,
    preprocess: Preprocess,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None,
    *,
    multi_label: bool = False,
    provenance: Mapping | None = None,
) -> pathlib.Path:
    """Writes a model directory, whole or not at all.

    The files are written to a temporary directory beside `path`, synced, and moved into place. An older model directory of ours at `path`
    is replaced, where a link leads to one too; anything else there is refused: another library's model, or files beside a model.

    Args:
      path: the directory to make.
      model_config: the model's.
      variables: `params` and the other collections of the model, stacked or layer by layer.
      preprocess: how a video becomes the model's input.
      labels: class names in the order of the logits (a table by head for several heads); None names them LABEL_0, LABEL_1, ...
      multi_label: whether a video may have several classes.
      provenance: how the weights came to be, as plain JSON values; kept with them as it is.

    Raises:
      UserError: if the parameters or the labels are not the model's, if `provenance` is no JSON object, or if something else lies at
        `path`.
    """
    given = path = pathlib.Path(path)
    flat = {name: np.ascontiguousarray(leaf, dtype=np.float32) for name, leaf in flatten_variables(variables).items()}
    check_parameters({name: leaf.shape for name, leaf in flat.items()}, variable_shapes(model_config), "variables")
    for name, leaf in flat.items():
        _check_finite(name, leaf, "variables")
    config = {
        "architecture": ARCHITECTURE,
        "family": model_config.family,
        "model": model_config.to_dict(),
        "id2label": _id2label(model_config, labels),
        "problem_type": MULTI_LABEL if multi_label else SINGLE_LABEL,
        **({} if provenance is None else {"provenance": _plain(provenance)}),
    }
    check_replaceable(path)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent, ignore_cleanup_errors=True) as temporary:
        new = pathlib.Path(temporary) / "new"
        new.mkdir()
        write_safetensors(new / WEIGHTS, flat, metadata={"format": "np"})
        sampling = preprocess.to_dict()
        digests = {"contents_sha256": _digest(config, sampling), "weights_sha256": sha256(new / WEIGHTS)}
        _write_json(new / CONFIG, config | digests)
        _write_json(new / PREPROCESS, sampling)
        for file in (*new.iterdir(), new):
            sync(file)
        if not path.exists():
            new.rename(path)
        elif not exchange(new, path):
            path.rename(pathlib.Path(temporary) / "old")
            new.rename(path)
    sync(path.parent)
    return given


def load_model_dir(path: str | os.PathLike) -> Pretrained:
    """Reads a model directory, refusing it unless every parameter is there with its shape and type and the checksums hold.

    A directory that is replaced while it is read is read again, since an error may then come from reading half of each.

    Raises:
      UserError: naming what is wrong.
    """
    path = pathlib.Path(path)
    for _ in range(REPLACED - 1):
        before = _identity(path)
        try:
            return _load(path)
        except UserError:
            if _identity(path) == before:
                raise
    return _load(path)


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
    """What changes when another directory takes the place of this one."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_ino, now.st_mtime_ns


def model_config_of(path: str | os.PathLike) -> ModelConfig:
    """The network of a model directory, without its weights.

    Raises:
      UserError: naming what is wrong.
    """
    path = pathlib.Path(path)
    return _model_config(_checked_config(path), path)


def _load(path: pathlib.Path) -> Pretrained:
    config = _checked_config(path)
    model_config = _model_config(config, path)
    sampling = read_json(path / PREPROCESS)
    preprocess = _dataclass(Preprocess, sampling, path / PREPROCESS)
    if (preprocess.frames, *preprocess.crop) != model_config.clip:
        given = (preprocess.frames, *preprocess.crop)
        raise UserError(f"{path / PREPROCESS} makes clips of {given} (frames, height, width), the model takes {model_config.clip}")
    if preprocess.clip_bytes > LARGEST_CLIP:
        raise UserError(f"{path / CONFIG} takes clips of {preprocess.clip_bytes:,} bytes, and {LARGEST_CLIP:,} are the most: refused")
    labels = _labels(model_config, config.get("id2label"), path / CONFIG)
    multi_label = _multi_label(config, path / CONFIG)
    if "contents_sha256" in config and config["contents_sha256"] != _digest(config, sampling):
        raise UserError(
            f"{path}: {CONFIG} or {PREPROCESS} is not as it was saved: damaged, or edited by hand; get it again, or, to accept the edit, "
            f"delete the line contents_sha256 of {CONFIG}"
        )
    flat = _read_weights(path / WEIGHTS, model_config, config.get("weights_sha256"))
    variables = unflatten_variables(flat, scan_layers=getattr(model_config, "scan_layers", False))
    provenance = config.get("provenance")
    if not isinstance(provenance, dict | None):
        raise UserError(f"{path / CONFIG}: provenance must be a JSON object, got {type(provenance).__name__}")
    return Pretrained(build(model_config), variables, preprocess, labels, multi_label, provenance)


def _checked_config(path: pathlib.Path) -> dict:
    config = read_json(path / CONFIG)
    if config.get("architecture") != ARCHITECTURE:
        raise UserError(
            f"{path / CONFIG} is not of a vivit_jax model: architecture is {config.get('architecture')!r}, not {ARCHITECTURE!r}"
        )
    for key in config:
        if key not in KEYS:
            raise unknown_name(f"key in {path / CONFIG}", key, KEYS)
    return config


def _model_config(config: Mapping, path: pathlib.Path) -> ModelConfig:
    family = family_named(str(config.get("family", DEFAULT)))  # models saved by older versions do not say
    return _dataclass(family.config, config.get("model"), path / CONFIG)


def is_model_dir(path: str | os.PathLike) -> bool:
    """Whether a directory is one of ours."""
    config = pathlib.Path(path) / CONFIG
    return config.is_file() and read_json(config).get("architecture") == ARCHITECTURE


def read_json(path: pathlib.Path) -> dict:
    """The JSON object in a file.

    Raises:
      UserError: if it is missing or holds anything else.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file")
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes, and {LARGEST_JSON:,} are the most: refused")
        value = json.loads(path.read_text(encoding="utf-8"))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def default_labels(model_config: ModelConfig) -> Labels:
    """LABEL_0, LABEL_1, ... of each head."""
    names = {head: tuple(f"LABEL_{index}" for index in range(count)) for head, count in model_config.heads.items()}
    return names.get("", names or ())


def _read_weights(path: pathlib.Path, model_config: ModelConfig, digest: str | None) -> dict[str, np.ndarray]:
    """Shapes and types are checked against the header before any parameter is read; the checksum after them, as it names less."""
    try:
        check_header(path)
        with safe_open(path, framework="np") as file:
            headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
            shapes = {name: tuple(header.get_shape()) for name, header in headers.items()}
            layers = family_of(model_config).height(model_config, "head") - 1
            if layers > len(shapes):  # before so many are spelt out
                raise UserError(f"{path} holds {len(shapes)} parameters, too few for the {layers} layers of {CONFIG}")
            check_parameters(shapes, variable_shapes(model_config), str(path))
            other = [f"{name} {header.get_dtype()}" for name, header in headers.items() if header.get_dtype() != "F32"]
            if other:
                raise UserError(f"{path}: parameters must be float32 (F32), got {', '.join(other)}")
            if sha256(path) != digest:
                raise UserError(f"{path} does not have the SHA-256 that {CONFIG} records: it was damaged or changed; get it again")
            tensors = {name: file.get_tensor(name) for name in headers}
            for name, tensor in tensors.items():
                _check_finite(name, tensor, str(path))
            return tensors
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except SafetensorError as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from None


def _check_finite(name: str, values: np.ndarray, where: str) -> None:
    """Refuses weights that no model computes with."""
    if values.size and not max(abs(float(values.min())), abs(float(values.max()))) <= LARGEST_WEIGHT:  # false for NaN too
        raise UserError(f"{where}: {name} {values.shape} holds NaN, infinity or numbers above {LARGEST_WEIGHT:g}: the model has diverged")


def _digest(config: Mapping, sampling: Mapping) -> str:
    """The SHA-256 of what config.json and preprocess.json say, however it is laid out; the weights have one of their own."""
    said = {name: value for name, value in config.items() if name not in ("contents_sha256", "weights_sha256")}
    return hashlib.sha256(json.dumps([said, sampling], sort_keys=True).encode()).hexdigest()


def _clear_leftovers(path: pathlib.Path) -> None:
    """Removes what saves that were killed left beside `path`, once it is too old to be of a save that still runs."""
    for left in path.parent.glob(f".{glob.escape(path.name)}-????????"):
        try:
            inside = {file.name for file in left.iterdir()} if left.is_dir() and not left.is_symlink() else {"a file"}
            if inside <= {"new", "old"} and time.time() - max(file.stat().st_mtime for file in (left, *left.rglob("*"))) > STALE:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another process clears it
            continue


def _id2label(model_config: ModelConfig, labels: Sequence[str] | Mapping[str, Sequence[str]] | None) -> dict:
    labels = default_labels(model_config) if labels is None else labels
    by_head = labels if isinstance(labels, Mapping) else {"": labels} if model_config.heads else {}
    counts = {head: len(names) for head, names in by_head.items()}
    if counts != model_config.heads:
        raise UserError(f"labels must name every class once: the model has {_counts(model_config.heads)}, got {_counts(counts)}")
    tables = {head: {str(index): str(name) for index, name in enumerate(names)} for head, names in by_head.items()}
    for table in tables.values():
        _check_text(table.values(), "labels")
    return tables.get("", tables)


def _labels(model_config: ModelConfig, id2label: object, path: pathlib.Path) -> Labels:
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


def _multi_label(config: Mapping, path: pathlib.Path) -> bool:
    problem_type = config.get("problem_type", SINGLE_LABEL)  # models saved by older versions do not say
    if problem_type not in (SINGLE_LABEL, MULTI_LABEL):
        raise unknown_name(f"problem_type in {path}", str(problem_type), (SINGLE_LABEL, MULTI_LABEL))
    return problem_type == MULTI_LABEL


def _plain(provenance: Mapping) -> dict:
    """The provenance as JSON gives it back."""
    try:
        text = json.dumps(dict(provenance), allow_nan=False, ensure_ascii=False)
        text.encode()
        plain = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"provenance must be plain JSON values: {error}") from None
    return plain


def _check_text(names: Iterable[str], where: str) -> None:
    """Refuses halves of characters, which JSON can spell and no file can hold."""
    for name in names:
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise UserError(f"{where}: {name!r} is not Unicode text")


def _counts(heads: Mapping[str, int]) -> str:
    return " and ".join(f"{count} classes{f' of {head}' if head else ''}" for head, count in heads.items()) or "no head"


def _dataclass(cls: type, values: object, path: pathlib.Path) -> object:
    """A `cls` made from a JSON object; refuses unknown and missing keys."""
    if not isinstance(values, dict):
        raise UserError(f"{path} must describe a {cls.__name__} by a JSON object, got {values!r}")
    known = [field.name for field in dataclasses.fields(cls)]
    for key in values:
        if key not in known:
            raise unknown_name(f"key in {path}", key, known)
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {in_one_line(error)}") from None


def check_replaceable(path: pathlib.Path) -> None:
    """Refuses to replace anything but an empty directory or a model of ours, damaged or not, that has nothing beside it.

    Raises:
      UserError: naming what would be lost; or for a URL.
    """
    if is_url(path):
        raise UserError(f"{path} is a URL, and models are written into folders: give a local path")
    if path.is_dir():
        held = sorted(file.name for file in path.iterdir())
        foreign = [name for name in held if name not in (CONFIG, PREPROCESS, WEIGHTS) or not (path / name).is_file()]
        if held and foreign and _is_ours(path):
            raise UserError(f"{path} holds {foreign[0]!r} beside a model, which would be lost: it is left alone; give another path")
        if not held or (not foreign and _is_ours(path)):
            return
    if path.exists() or path.is_symlink():
        raise UserError(f"{path} exists and is not a model directory of vivit_jax: it is left alone; give another path")


def _is_ours(path: pathlib.Path) -> bool:
    """Whether a directory holds a model of ours; of one whose config.json is lost or damaged, preprocess.json says so."""
    try:
        return is_model_dir(path) or (not (path / CONFIG).exists() and (path / PREPROCESS).is_file())
    except UserError:
        return (path / PREPROCESS).is_file()


def _write_json(path: pathlib.Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
