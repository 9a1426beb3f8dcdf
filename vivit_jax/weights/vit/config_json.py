"""Reads the config.json beside weights: the fields that we need, each checked before it is believed."""

import math
from collections.abc import Callable, Mapping

from vivit_jax.errors import UserError


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def _is_size(value: object) -> bool:
    return _is_count(value) or (isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_label_table(value: object) -> bool:
    return isinstance(value, dict) and all(key.isascii() and key.isdigit() for key in value)


# What a field must be, in words and as a check.
Kind = tuple[str, Callable[[object], bool]]
TEXT: Kind = ("text", lambda value: isinstance(value, str))
OBJECT: Kind = ("an object", lambda value: isinstance(value, dict))
COUNT: Kind = ("a whole number above 0", _is_count)
THREE_NUMBERS: Kind = ("three numbers", lambda value: isinstance(value, list) and len(value) == 3 and all(map(_is_number, value)))

# No name means one thing to Hugging Face and another to timm.
FIELDS: dict[str, Kind] = {
    "act_layer": TEXT,
    "architecture": TEXT,
    "global_pool": TEXT,
    "hidden_act": TEXT,
    "id2label": ("a table of class names by index", _is_label_table),
    "image_size": ("a number of pixels, or two", lambda value: _is_size(value) or isinstance(value, dict)),
    "img_size": ("a number of pixels, or two", _is_size),
    "input_size": ("channels, height and width", lambda value: isinstance(value, list) and len(value) == 3 and all(map(_is_count, value))),
    "layer_norm_eps": ("a number above 0", lambda value: _is_number(value) and value > 0),
    "mean": THREE_NUMBERS,
    "model_args": OBJECT,
    "model_type": TEXT,
    "norm_layer": TEXT,
    "num_attention_heads": COUNT,
    "num_frames": COUNT,
    "num_heads": COUNT,
    "num_hidden_layers": COUNT,
    "pretrained_cfg": OBJECT,
    "problem_type": TEXT,
    "std": THREE_NUMBERS,
}
NESTED = ("model_args", "pretrained_cfg")


def checked_fields(config: Mapping, name: str) -> dict:
    """The fields that we read and that are not null, those of nested objects checked too.

    Args:
      config: the contents of config.json.
      name: the model's name, for errors.

    Raises:
      UserError: naming a field that is malformed.
    """
    said = {field: value for field, value in config.items() if field in FIELDS and value is not None}
    for field, value in said.items():
        expected, is_right = FIELDS[field]
        if not is_right(value):
            raise UserError(f"{name}: config.json: {field} must be {expected}, got {repr(value)[:80]}")
    return said | {field: checked_fields(said[field], name) for field in NESTED if field in said}


# Hugging Face's activations under our names.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
}


def activation_of(config: Mapping, default: str, name: str) -> str:
    """The MLPs' activation under our name; `default` is what Hugging Face's class takes where config.json has none.

    Raises:
      UserError: for one that a ViViT cannot have.
    """
    activation = config.get("hidden_act", default)
    if activation not in ACTIVATIONS:
        raise UserError(f"{name}: its activation is {activation!r}, and a ViViT's is one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]


def image_size_of(config: Mapping) -> tuple[int, int] | None:
    """(h, w) in pixels, if config.json says it."""
    size = config.get("image_size")
    if isinstance(size, int):
        return size, size
    return tuple(size) if isinstance(size, list | tuple) and len(size) == 2 else None


def labels_of(config: Mapping, params: Mapping, name: str) -> tuple[str, ...] | None:
    """The class names, if config.json has as many as the head has classes.

    Raises:
      UserError: for as many names whose numbers are not those of the classes, 0, 1, 2, ...
    """
    id2label = {int(index): str(label) for index, label in config.get("id2label", {}).items()}
    if not id2label or "head/kernel" not in params or len(id2label) != (classes := params["head/kernel"].shape[-1]):
        return None
    if id2label.keys() != set(range(classes)):
        other = min(id2label.keys() - set(range(classes)))
        raise UserError(f"{name}: config.json: id2label must number its {classes} classes from 0 to {classes - 1}, got {other}: correct it")
    return tuple(id2label[index] for index in range(classes))


def regression_of(config: Mapping) -> str | None:
    """Why a head cannot be kept that gives amounts, and no classes; None for any other."""
    return "its head was trained for regression, whose outputs are no classes" if config.get("problem_type") == "regression" else None


def check_depth(params: Mapping, config: Mapping, name: str) -> None:
    """Refuses weights that do not have the layers that config.json says."""
    blocks = {path.split("/")[1] for path in params if path.startswith("encoder/block_")}
    if config.get("num_hidden_layers", len(blocks)) != len(blocks):
        raise UserError(f"{name}: config.json says {config['num_hidden_layers']} layers, the weights hold {len(blocks)}")


def stated_in_config(config: Mapping) -> dict[str, str]:
    """The fields of a backbone that config.json sets, as `Backbone.stated_in` holds them."""
    return {ours: "config.json" for theirs, ours in (("hidden_act", "activation"), ("layer_norm_eps", "norm_eps")) if theirs in config}
