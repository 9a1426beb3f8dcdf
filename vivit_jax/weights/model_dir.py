"""Our model directory: config.json, preprocess.json and model.safetensors. Data only; nothing in it is ever executed.

`config.json` holds the model's configuration, its class names by index (`id2label`; for several heads, one such table per head), the
SHA-256 of the weights, and that of the contents of the two JSON files. `model.safetensors` holds float32 parameters by path, layer by
layer whatever `scan_layers` is.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from vivit_jax.atomic import exchange, folder_beside, refuse_mount_point, sync, write_json
from vivit_jax.errors import UserError
from vivit_jax.files import at_home, is_url, real_path, sha256
from vivit_jax.heads import Labels
from vivit_jax.models.families import ModelConfig, build, family_of
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import model_json
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_json import CONFIG, MULTI_LABEL, PREPROCESS, SINGLE_LABEL, WEIGHTS, is_model_dir
from vivit_jax.weights.parameters import check_parameters, variable_shapes
from vivit_jax.weights.tensor_files import check_header
from vivit_jax.weights.tensors import write_safetensors

REPLACED = 10  # how often a model is read again because it was replaced meanwhile
LARGEST_CLIP = 2**30  # bytes; finding the shapes of a model with larger clips would take gigabytes
LARGEST_WEIGHT = 1e30  # above it a product overflows; weights of a model that works are nowhere near


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
      average: what is averaged over the views of a video, `logits` or `probabilities`.
    """

    model: nn.Module
    variables: dict
    preprocess: Preprocess
    labels: Labels
    multi_label: bool = False
    provenance: dict | None = None
    average: str = model_json.LOGITS

    def __repr__(self) -> str:
        heads = " + ".join(f"{count} {name}".strip() for name, count in self.model.config.heads.items())
        count = sum(leaf.size for leaf in jax.tree.leaves(self.variables))
        return f"Pretrained({self.model.config.family}, clip {self.model.config.clip}, {count:,} numbers, {heads or 'no'} classes)"

    @property
    def activation(self) -> Callable[[jax.Array], jax.Array]:
        """The function from logits (b, classes) to probabilities: softmax, or sigmoid."""
        return jax.nn.sigmoid if self.multi_label else jax.nn.softmax

    @property
    def problem_type(self) -> str:
        """The meaning of the logits by its name in Hugging Face's configs."""
        return MULTI_LABEL if self.multi_label else SINGLE_LABEL

    def save(self, path: str | os.PathLike) -> pathlib.Path:
        """Writes it all as a model directory, as `save_pretrained` does."""
        return save_pretrained(
            path,
            self.model.config,
            self.variables,
            self.preprocess,
            self.labels,
            multi_label=self.multi_label,
            provenance=self.provenance,
            average=self.average,
        )


def save_pretrained(
    path: str | os.PathLike,
    model_config: ModelConfig,
    variables: Mapping,
    preprocess: Preprocess,
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None,
    *,
    multi_label: bool = False,
    provenance: Mapping | None = None,
    average: str = model_json.LOGITS,
) -> pathlib.Path:
    """Writes a model directory, whole or not at all.

    The files are written to a temporary directory beside `path`, synced, and moved into place. An older model directory of ours at `path`
    is replaced, where a link leads to one too; anything else there is refused: another library's model, or files beside a model.

    Examples:
      >>> save_pretrained("my_model", model.config, variables, Preprocess(frames=8, stride=2, resize=72, crop=(64, 64)), ["run", "wave"])

    Args:
      path: the directory to make.
      model_config: the configuration of the model.
      variables: `params` and the other collections of the model, stacked or layer by layer.
      preprocess: how a video becomes the model's input.
      labels: class names in the order of the logits (a table by head for several heads); None names them LABEL_0, LABEL_1, ...
      multi_label: whether a video may have several classes.
      provenance: how the weights came to be, as plain JSON values; kept with them as it is.
      average: what is averaged over the views of a video, `logits` or `probabilities`.

    Raises:
      UserError: if the parameters or the labels are not the model's, if `provenance` is no JSON object, or if something else lies at
        `path`.
    """
    given = path = at_home(path)
    flat = {name: np.ascontiguousarray(leaf, dtype=np.float32) for name, leaf in flatten_variables(variables).items()}
    check_parameters({name: leaf.shape for name, leaf in flat.items()}, variable_shapes(model_config), "variables")
    for name, leaf in flat.items():
        _check_finite(name, leaf, "variables")
    config = {
        "architecture": model_json.ARCHITECTURE,
        "family": model_config.family,
        "model": model_config.to_dict(),
        "id2label": model_json.id2label_of(model_config, labels),
        "problem_type": MULTI_LABEL if multi_label else SINGLE_LABEL,
        **({} if provenance is None else {"provenance": model_json.plain_provenance(provenance)}),
        **({} if average == model_json.LOGITS else {"average": average}),
    }
    check_replaceable(path)
    path = real_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with folder_beside(path) as temporary:
        new = temporary / "new"
        _write_files(new, flat, config, preprocess.to_dict())
        if not path.exists():
            new.rename(path)
        elif not exchange(new, path):
            path.rename(temporary / "old")
            new.rename(path)
    sync(path.parent)
    return given


def _write_files(folder: pathlib.Path, flat: Mapping[str, np.ndarray], config: dict, sampling: dict) -> None:
    """Makes a folder of the three files, with their digests in config.json, and flushes it to disk."""
    folder.mkdir()
    write_safetensors(folder / WEIGHTS, flat, metadata={"format": "np"})
    digests = {"contents_sha256": model_json.digest(config, sampling), "weights_sha256": sha256(folder / WEIGHTS)}
    write_json(folder / CONFIG, config | digests)
    write_json(folder / PREPROCESS, sampling)
    for file in (*folder.iterdir(), folder):
        sync(file)


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
    """A value that changes when another directory takes the place of this one; None if there is none."""
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
    return model_json.model_config_in(model_json.read_config(path), path)


def _load(path: pathlib.Path) -> Pretrained:
    config = model_json.read_config(path)
    model_config = model_json.model_config_in(config, path)
    sampling = model_json.read_json(path / PREPROCESS)
    preprocess = model_json.from_json(Preprocess, sampling, path / PREPROCESS)
    if (preprocess.frames, *preprocess.crop) != model_config.clip:
        given = (preprocess.frames, *preprocess.crop)
        raise UserError(f"{path / PREPROCESS} makes clips of {given} (frames, height, width), the model takes {model_config.clip}")
    if preprocess.clip_bytes > LARGEST_CLIP:
        raise UserError(f"{path / CONFIG} takes clips of {preprocess.clip_bytes:,} bytes, more than the limit of {LARGEST_CLIP:,}: refused")
    labels = model_json.labels_in(model_config, config.get("id2label"), path / CONFIG)
    multi_label = model_json.is_multi_label(config, path / CONFIG)
    average = model_json.average_in(config, path / CONFIG)
    if "contents_sha256" in config and config["contents_sha256"] != model_json.digest(config, sampling):
        raise UserError(
            f"{path}: {CONFIG} or {PREPROCESS} has changed since it was saved: it is damaged, or was edited by hand; get it again, or, to "
            f"accept the edit, delete the line contents_sha256 of {CONFIG}"
        )
    flat = _read_weights(path / WEIGHTS, model_config, config.get("weights_sha256"))
    variables = unflatten_variables(flat, model_config)
    provenance = config.get("provenance")
    if not isinstance(provenance, dict | None):
        raise UserError(f"{path / CONFIG}: provenance must be a JSON object, got {type(provenance).__name__}")
    model = build(family_of(model_config).portable(model_config))
    return Pretrained(model, variables, preprocess, labels, multi_label, provenance, average)


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


def check_replaceable(path: pathlib.Path) -> None:
    """Refuses to replace anything but an empty directory or a model of ours, damaged or not, that has nothing beside it.

    Raises:
      UserError: naming what would be lost; or for a URL, or where a disk is mounted.
    """
    if is_url(path):
        raise UserError(f"{path} is a URL, and models are written into folders: give a local path")
    refuse_mount_point(path)
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
