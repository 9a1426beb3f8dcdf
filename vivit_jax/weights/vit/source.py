"""Reads a vision transformer in any known format, which is recognised from the files themselves."""

import dataclasses
import os
import pathlib

from vivit_jax.console import first_of
from vivit_jax.errors import UserError, unknown_name
from vivit_jax.weights.hub_cache import PROCESSORS, local_path
from vivit_jax.weights.model_json import CONFIG, read_json
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.tensors import read_tensors
from vivit_jax.weights.vit import google_vit, hugging_face, own_model, scenic, timm, videomae
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions

# Each format's module recognises and reads it; the first that recognises a source reads it.
FORMATS = {"scenic": scenic, "google_vit": google_vit, "videomae": videomae, "hugging_face": hugging_face, "timm": timm}
OWN_FORMAT = own_model.FORMAT


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
    if own_model.is_own(path, options.format):
        return own_model.read_own(path, options)
    tensors = read_tensors(path) if tensors is None else tensors
    if not tensors:
        raise UserError(f"{path} holds no tensors")
    metadata = _metadata(path)
    if options.format == "auto":
        module = next((module for module in FORMATS.values() if module.recognises(tensors, metadata)), None)
        if module is None:
            raise UserError(f"{path}: no known vision transformer has these names: {first_of(list(tensors), 4)}")
    else:
        module = FORMATS[options.format]
    backbone = module.read(tensors, metadata, options)
    return dataclasses.replace(backbone, notes=(*backbone.notes, *tensors.notes))


def _metadata(path: pathlib.Path) -> dict[str, dict]:
    """The JSON files that describe the weights they lie beside, as {"config": ..., "pixels": {file: ...}}.

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
