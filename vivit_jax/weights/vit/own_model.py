"""One of our own ViViTs, in a model directory, as a source for another."""

import pathlib

from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.model_dir import Pretrained, load_model_dir
from vivit_jax.weights.model_json import CONFIG, PREPROCESS, is_model_dir
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions

FORMAT = "vivit_jax"
STATED_IN_CONFIG, STATED_IN_PREPROCESS = ("activation", "norm_eps"), ("mean", "std", "resize", "stride")


def is_own(path: pathlib.Path, format: str) -> bool:
    """Whether a source is one of our model directories; `format` is the one that the caller names, or `auto`.

    Raises:
      UserError: if it is one and another format is named, or the other way round.
    """
    own = is_model_dir(path)
    if own and format not in ("auto", FORMAT):
        raise UserError(f"{path} is a model directory of vivit_jax, not of format {format}: set format to {FORMAT} or auto")
    if format == FORMAT and not own:
        raise UserError(f"{path} is not a model directory of vivit_jax")
    return own


def read_own(path: pathlib.Path, options: SourceOptions) -> Backbone:
    """The ViViT of a model directory.

    Raises:
      UserError: for options that config.json answers, a directory that is damaged, or a model of another family.
    """
    for name, value in (("num_heads", options.num_heads), ("image_size", options.image_size), ("source_clip", options.clip)):
        if value is not None:
            raise UserError(f"{name} is for sources whose files do not tell it, and {path / CONFIG} does: leave it out")
    return _backbone_of(load_model_dir(path), f"{path} ({FORMAT})")


def _backbone_of(pretrained: Pretrained, name: str) -> Backbone:
    """The ViViT under the names of a `Backbone`; `name` is the source, for reports and errors."""
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
        stated_in=dict.fromkeys(STATED_IN_CONFIG, CONFIG) | dict.fromkeys(STATED_IN_PREPROCESS, PREPROCESS),
        stride=pretrained.preprocess.stride,
        sampling={name: getattr(pretrained.preprocess, name) for name in ("rate", "sampling", "padding")},
    )


def _below(flat: dict, prefix: str) -> dict:
    return {path.removeprefix(prefix): array for path, array in flat.items() if path.startswith(prefix)}
