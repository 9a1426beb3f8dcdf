"""Where weights come from: a path or a repository of the Hugging Face hub, its format recognised from the files themselves."""

import dataclasses
import os
import pathlib
import re

from vivit_jax.errors import UserError, unknown_name
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.model_dir import Pretrained, load_model_dir
from vivit_jax.weights.model_json import CONFIG, PREPROCESS, is_model_dir, read_json
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.tensors import DIRECTORY_FILES, read_tensors, shard_map
from vivit_jax.weights.vit import google_vit, hugging_face, scenic, timm, videomae
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions

HUB = "hf://"
REACH_TIMEOUT = 5  # seconds

# Each format's module recognises and reads it; the first that recognises a source reads it.
FORMATS = {"scenic": scenic, "google_vit": google_vit, "videomae": videomae, "hugging_face": hugging_face, "timm": timm}
OWN_FORMAT = "vivit_jax"

# The files that say how a Hugging Face model's pixels are prepared; earlier ones take precedence.
PROCESSORS = ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json")


def read_source(source: str | os.PathLike, options: SourceOptions, tensors: Tensors | None = None) -> Backbone:
    """Reads a vision transformer in any known format.

    Args:
      source: a file, a directory, or `hf://org/name` with an optional `@revision`.
      options: what the files cannot say.
      tensors: the source's, where it is open already and no model directory.

    Raises:
      UserError: if it is missing, damaged, of no known format, or cannot be expressed as a ViViT.
    """
    if options.format not in ("auto", OWN_FORMAT, *FORMATS):
        raise unknown_name("format", options.format, ("auto", OWN_FORMAT, *FORMATS))
    path = local_path(source)
    if options.format in ("auto", OWN_FORMAT) and is_model_dir(path):
        _check_unsaid(path, options)
        return _backbone_of(load_model_dir(path), f"{path} ({OWN_FORMAT})")
    if options.format == OWN_FORMAT:
        raise UserError(f"{path} is not a model directory of vivit_jax")
    tensors = read_tensors(path) if tensors is None else tensors
    if not tensors:
        raise UserError(f"{path} holds no tensors")
    metadata = _metadata(path)
    if options.format == "auto":
        module = next((module for module in FORMATS.values() if module.recognises(tensors, metadata)), None)
        if module is None:
            raise UserError(f"{path}: no known vision transformer has these names: {', '.join(list(tensors)[:4])}, ...")
    else:
        module = FORMATS[options.format]
    backbone = module.read(tensors, metadata, options)
    return dataclasses.replace(backbone, notes=(*backbone.notes, *tensors.notes))


def _check_unsaid(path: pathlib.Path, options: SourceOptions) -> None:
    """Refuses to be told about a model directory what its config.json says."""
    for name, value in (("num_heads", options.num_heads), ("image_size", options.image_size), ("source_clip", options.clip)):
        if value is not None:
            raise UserError(f"{name} is for sources whose files do not tell it, and {path / CONFIG} does: leave it out")


def local_path(source: str | os.PathLike) -> pathlib.Path:
    """The source on this machine; `hf://org/name@revision` is taken from the hub's cache, or fetched into it."""
    source = os.fspath(source)
    if not source.startswith(HUB):
        return pathlib.Path(source).expanduser()
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", source.removeprefix(HUB))
    if match is None:
        raise UserError(f"{source} must be hf://organisation/name or hf://organisation/name@revision")
    return _from_hub(source, *match.groups())


def _from_hub(source: str, repository: str, revision: str | None) -> pathlib.Path:
    """The repository's snapshot, of which only data files are fetched: weights once, safetensors first, and the JSON beside them."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    unreachable = why_unreachable()

    def fetch(name: str) -> pathlib.Path | None:
        try:
            return pathlib.Path(hf_hub_download(repository, name, revision=revision, local_files_only=unreachable is not None))
        except EntryNotFoundError:  # also its subclass for a file that is not in the cache while offline
            return None

    try:
        weights = next((file for name in DIRECTORY_FILES if (file := fetch(name))), None)
        if weights is None and unreachable:
            raise UserError(
                f"{source} cannot be fetched: {unreachable}; give the path of a copy on this machine, or, for one in the hub's cache, "
                "set HF_HUB_OFFLINE=1"
            )
        if weights is None:
            raise UserError(f"{source}: none of {', '.join(DIRECTORY_FILES)} could be had; offline, only what the cache holds can be")
        for name in (CONFIG, PREPROCESS, *PROCESSORS):
            fetch(name)
        if weights.name.endswith(".index.json"):
            for name in sorted(set(shard_map(weights).values())):
                fetch(name)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(f"{source} cannot be fetched: {str(error).strip().splitlines()[0]}") from None
    return weights.parent


def why_unreachable() -> str | None:
    """Why the hub does not answer, within seconds; None if it does, or must not be asked. Its own client tries each file for minutes."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        get_session().head(constants.ENDPOINT, timeout=REACH_TIMEOUT)
    except Exception as error:  # of httpx or requests, by version, and of what a proxy needs
        return f"{constants.ENDPOINT} does not answer ({' '.join(str(error).split()) or type(error).__name__})"
    return None


def _metadata(path: pathlib.Path) -> dict[str, dict]:
    """What lies beside the weights and describes them.

    As in transformers 5, the first of these that exists says how pixels are prepared: processor_config.json (which may nest the others),
    video_preprocessor_config.json, preprocessor_config.json.
    """
    directory = path if path.is_dir() else path.parent
    found = {name: read_json(directory / name) for name in (CONFIG, *PROCESSORS) if (directory / name).is_file()}
    nested = found.pop("processor_config.json", {})
    pixels = [(f"processor_config.json: {part}", nested[part]) for part in ("video_processor", "image_processor") if part in nested]
    pixels += [(name, found[name]) for name in PROCESSORS if name in found]
    for name, values in pixels:
        if not isinstance(values, dict):
            raise UserError(f"{directory / name} must hold a JSON object, got {type(values).__name__}")
    return {"config": found.get(CONFIG, {}), "pixels": dict(pixels)}


def _backbone_of(pretrained: Pretrained, name: str) -> Backbone:
    """One of our own ViViTs as a source for another."""
    config = pretrained.model.config
    if not isinstance(config, ViViTConfig):
        raise UserError(
            f"{name} is a {config.family}, and only a ViViT can be made into another model: to train it further, give it as init.source"
        )
    flat = flatten(pretrained.variables["params"])
    params = {path: array for path, array in flat.items() if path.startswith(("tokenizer/", "head"))}
    is_factorised = config.factorisation == "factorised_encoder"
    encoders = {"encoder": "spatial_encoder", "temporal_encoder": "temporal_encoder"} if is_factorised else {"encoder": "encoder"}
    for encoder, ours in encoders.items():
        params |= {f"{encoder}/{path}": array for path, array in _below(flat, f"transformer/{ours}/").items() if path != "position"}
        prefix = "" if encoder == "encoder" else f"{encoder}/"
        rows = flat.get(f"transformer/{ours}/position")
        if rows is not None and f"transformer/{ours}_cls" in flat:
            params[f"{prefix}cls"] = flat[f"transformer/{ours}_cls"]
            params[f"{prefix}cls_position"], rows = rows[0], rows[1:]
        if rows is not None:
            params[f"{prefix}position"] = rows
    n_t, n_h, n_w = config.grid
    params["position"] = params["position"].reshape(1 if is_factorised else n_t, n_h, n_w, -1)
    return Backbone(
        name=name,
        params=params,
        num_heads=config.num_heads,
        activation=config.activation,
        norm_eps=config.norm_eps,
        last_norm_eps=config.last_norm_eps,
        mean=pretrained.preprocess.mean,
        std=pretrained.preprocess.std,
        factorisation=config.factorisation,
        clip=config.clip,
        tokenizer=config.tokenizer,
        pool=config.pool,
        attention_order=config.attention_order,
        labels=pretrained.labels,
        multi_label=pretrained.multi_label,
        average=pretrained.average,
        resize=pretrained.preprocess.resize,
        said={name: CONFIG for name in ("activation", "norm_eps")} | {name: PREPROCESS for name in ("mean", "std", "resize", "stride")},
        stride=pretrained.preprocess.stride,
        sampling={name: getattr(pretrained.preprocess, name) for name in ("rate", "sampling", "padding")},
    )


def _below(flat: dict, prefix: str) -> dict:
    return {path.removeprefix(prefix): array for path, array in flat.items() if path.startswith(prefix)}
