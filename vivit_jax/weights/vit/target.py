"""The model that a source becomes: the fields that the caller asks for, and the source's own for the rest."""

from collections.abc import Mapping

from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.vit.backbone import Backbone


def target_model(backbone: Backbone, model: Mapping[str, object], init: InitConfig) -> ViViTConfig:
    """The model that is asked for, filled in with what the source says.

    Args:
      backbone: the source.
      model: the fields of `ViViTConfig` that are asked for.
      init: its `activation` and `norm_eps`, where set, replace the source's.

    Raises:
      UserError: naming what the caller must give because the source does not say it, or for values that contradict each other.
    """
    asked = dict(model)
    factorisation = asked.setdefault("factorisation", backbone.factorisation)
    if factorisation is None:
        and_clip = "" if "clip" in asked else ", and clip, the (frames, height, width) of the videos"
        raise UserError(f"{backbone.name} is an image model: give factorisation, one of {', '.join(FACTORISATIONS)}{and_clip}")
    if "clip" not in asked and backbone.clip is None:
        raise UserError(f"{backbone.name} is an image model{_image_size(backbone)}: give clip, the (frames, height, width) of the videos")
    asked.setdefault("clip", backbone.clip)
    if factorisation == "factorised_self_attention":
        if "attention_order" not in asked and backbone.factorisation == factorisation and backbone.attention_order is None:
            raise UserError(f"{backbone.name} does not say which attention comes first: give attention_order, space_time or time_space")
        asked.setdefault("attention_order", backbone.attention_order or "space_time")
    asked.setdefault("tokenizer", backbone.tokenizer)
    _fill_in_tubelet(asked, backbone)
    if "pool" not in asked:
        has_cls = factorisation in ("spatio_temporal_attention", "factorised_encoder")
        asked["pool"] = backbone.pool if has_cls or backbone.pool != "token" else "mean"
    if backbone.factorisation == factorisation == "factorised_encoder":
        asked.setdefault("temporal_layers", backbone.temporal_layers)
        if backbone.temporal_layers:
            asked.setdefault("temporal_heads", backbone.temporal_heads)
            asked.setdefault("temporal_mlp_dim", backbone.temporal_mlp_dim)
    if not backbone.is_image and "num_classes" not in asked:
        if backbone.why_headless:
            raise UserError(f"{backbone.name}: the head cannot be kept: {backbone.why_headless}; give num_classes for a fresh one")
        asked["num_classes"] = _classes_of(backbone)
    return ViViTConfig(
        hidden_size=backbone.hidden_size,
        num_layers=backbone.num_layers,
        num_heads=backbone.num_heads,
        mlp_dim=backbone.mlp_dim,
        activation=init.activation or backbone.activation,
        norm_eps=init.norm_eps or backbone.norm_eps,
        last_norm_eps=None if init.norm_eps else backbone.last_norm_eps,
        **asked,
    )


def same_classes(backbone: Backbone, config: ViViTConfig) -> bool:
    """Whether the source's head has the classes of `config`: the same heads, or one head with the classes of all of them together."""
    classes = _classes_of(backbone)
    if backbone.is_image or classes is None or not config.heads:
        return False
    if isinstance(config.num_classes, Mapping) and isinstance(classes, int):
        return sum(config.heads.values()) == classes
    return config.num_classes == classes


def _fill_in_tubelet(asked: dict, backbone: Backbone) -> None:
    """Fills in the tubelet: the source's; 2 frames for an image model; for sampled frames, the length that samples as many."""
    if "tubelet" in asked or backbone.is_image:
        asked.setdefault("tubelet", (2, *backbone.patch))
        return
    if asked["tokenizer"] == "tubelet":
        length = backbone.params["tokenizer/kernel"].shape[0]
        asked["tubelet"] = (length if backbone.tokenizer == "tubelet" else 2, *backbone.patch)
        return
    sampled = asked.get("sampled_frames") or backbone.params["position"].shape[0]
    if backbone.factorisation == "factorised_encoder" and "temporal_encoder/position" in backbone.params:
        sampled = asked.get("sampled_frames") or len(backbone.params["temporal_encoder/position"])
    length, rest = divmod(asked["clip"][0], sampled)
    asked["tubelet"] = (1 if rest else length, *backbone.patch)
    if rest:
        asked["sampled_frames"] = sampled


def _classes_of(backbone: Backbone) -> int | dict[str, int] | None:
    if backbone.why_headless:
        return None
    counts = {
        path.removesuffix("/kernel"): array.shape[-1]
        for path, array in backbone.params.items()
        if path.startswith("head") and path.endswith("/kernel")
    }
    if set(counts) <= {"head"}:
        return counts.get("head")
    return {name.removeprefix("head_"): count for name, count in counts.items()}


def _image_size(backbone: Backbone) -> str:
    _, n_h, n_w = backbone.params["position"].shape[:3]
    height, width = backbone.patch
    return f" of {n_h * height} x {n_w * width} pixels in patches of {height}x{width}"
