"""Hugging Face's ViT, DeiT, DINO, DINOv2 and I-JEPA image models, its ViViT (Model 1) and TimeSformer's joint attention (Model 1 too).

What weights cannot show comes from config.json and the processors' files, or, without these, from the defaults of the classes. Names
are those of files (`encoder.layer.0.attention.attention.query`) or those that transformers 5 has in memory (`layers.0.attention.q_proj`).
"""

import re

from vivit_jax.errors import UserError
from vivit_jax.preprocess import HALF
from vivit_jax.weights.model_json import MULTI_LABEL
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.vit.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, SourceOptions, heads_of_width, square_grid
from vivit_jax.weights.vit.config_json import (
    activation_of,
    check_depth,
    checked_fields,
    image_size_of,
    labels_of,
    regression_of,
    stated_in_config,
)
from vivit_jax.weights.vit.hugging_face_pixels import read_processors
from vivit_jax.weights.vit.names import (
    Row,
    check_complete,
    flat,
    fold_layer_scale,
    heads_in,
    heads_in_bias,
    heads_out,
    refuse,
    rows,
    torch_image_kernel,
    torch_linear,
    torch_norm,
    torch_query_key_value,
    torch_video_kernel,
    translate,
)
from vivit_jax.weights.vit.positions import image_positions, split_cls, video_grid

MODEL = r"(?:(?:vit|deit|dinov2|ijepa|vivit|timesformer)\.)?"
BLOCK = MODEL + r"(?:encoder\.layer|layers)\.(\d+)\."
OUR_BLOCK = "encoder/block_{0:02d}/"
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)
KINETICS = ((0.45,) * 3, (0.225,) * 3)  # TimeSformer's
TIMES = "time_position"  # TimeSformer's, which are added to those of the places
POOLER = "the pooler of a model without a classifier, which a ViViT does not have"

BLOCKS = (
    *torch_norm(BLOCK + r"(?:layernorm_before|norm1)", OUR_BLOCK + "norm_attention"),
    *(
        row
        for part in ("query", "key", "value")
        for row in torch_linear(
            BLOCK + rf"attention\.(?:attention\.{part}|{part[0]}_proj)", OUR_BLOCK + f"attention/{part}", heads_in, heads_in_bias
        )
    ),
    *torch_query_key_value(BLOCK + r"attention\.attention\.qkv", OUR_BLOCK + "attention"),
    *torch_linear(BLOCK + r"attention\.(?:output\.dense|o_proj)", OUR_BLOCK + "attention/out", heads_out),
    Row(BLOCK + r"layer_scale1\.lambda1", OUR_BLOCK + "attention/layer_scale"),
    *torch_norm(BLOCK + r"(?:layernorm_after|norm2)", OUR_BLOCK + "norm_mlp"),
    *torch_linear(BLOCK + r"(?:intermediate\.dense|mlp\.fc1)", OUR_BLOCK + "mlp/in"),
    *torch_linear(BLOCK + r"(?:output\.dense|mlp\.fc2)", OUR_BLOCK + "mlp/out"),
    Row(BLOCK + r"layer_scale2\.lambda1", OUR_BLOCK + "mlp/layer_scale"),
    *torch_norm(MODEL + r"layernorm", "encoder/norm"),
)
TABLE = (
    Row(MODEL + r"embeddings\.cls_token", "cls", flat),
    Row(MODEL + r"embeddings\.position_embeddings", "position", rows),
    Row(MODEL + r"embeddings\.time_embeddings", TIMES, rows),
    Row(MODEL + r"embeddings\.mask_token", None, reason="stands for hidden patches in pre-training"),
    *BLOCKS,
    Row(MODEL + r"pooler\.dense\.(?:weight|bias)", None, reason=POOLER),
    *torch_linear(r"classifier", "head"),
)
PATCH = MODEL + r"embeddings\.patch_embeddings\.projection"
IMAGE_TABLE = (*torch_linear(PATCH, "tokenizer", torch_image_kernel), *TABLE)
VIDEO_TABLE = (*torch_linear(PATCH, "tokenizer", torch_video_kernel), *TABLE)

REFUSED = (
    (r"distillation_token", "a distilled DeiT has a second token with a head of its own, which a ViViT has no place for"),
    (r"register_tokens", "register tokens take part in every attention, and a ViViT has none"),
    (r"mlp\.weights_in", "its MLPs are gated (SwiGLU), a ViViT's are not"),
    (r"temporal_attention", "TimeSformer's divided attention has a cls token in each frame, Model 3 has none: no ViViT computes the same"),
    (
        r"\.self_attn\.",
        "it is not a plain ViT: CLIP normalises before its first block, SigLIP pools by attention, and a ViViT does neither",
    ),
    (r"rms_norm", "it has RMSNorm, a ViViT LayerNorm"),
)


def recognises(tensors: Tensors, metadata: dict) -> bool:
    """Whether these are names of Hugging Face's vision transformers."""
    return any(re.search(r"(^|\.)(encoder\.)?layers?\.\d+\.(attention|self_attn|norm1|layernorm_before)\.", name) for name in tensors)


def read(tensors: Tensors, metadata: dict, options: SourceOptions) -> Backbone:
    """An image ViT, or a ViViT of Model 1."""
    name = f"{tensors.path} (hugging_face)"
    config = checked_fields(metadata.get("config", {}), name)
    refuse(tensors, REFUSED, name)
    _refuse_space_only(tensors, name)
    kernel = next((shape for path, shape in tensors.shapes.items() if re.fullmatch(PATCH + r"\.weight", path)), None)
    if kernel is None:
        raise UserError(f"{name}: no patch embedding (embeddings.patch_embeddings.projection.weight) was found")
    is_video = len(kernel) == 5
    heads = options.num_heads or config.get("num_attention_heads") or heads_of_width(kernel[0], options, name)
    translation = translate(tensors, VIDEO_TABLE if is_video else IMAGE_TABLE, heads)
    params = fold_layer_scale(check_complete(translation, name, heads, optional_biases=True))
    check_depth(params, config, name)
    why_headless = _drop_wide_head(params) or regression_of(config)
    has_times = TIMES in params
    if _is_dino(tensors) and _is_square(params):
        config.pop("image_size", None)
    layout = _video_layout if is_video else _timesformer_layout if has_times else _image_layout
    facts = layout(params, config, options, name)
    pixels = read_processors(metadata.get("pixels", {}), name)
    if is_video:
        pixels.check_crop(facts["clip"][1:], name)
    default = IMAGENET if _is_dino(tensors) else KINETICS if has_times else (HALF, HALF)
    return Backbone(
        name=name,
        params=params,
        num_heads=heads,
        activation=activation_of(config, "gelu_fast" if is_video else "gelu", name),
        norm_eps=float(config.get("layer_norm_eps", 1e-6 if is_video or has_times or _is_dino(tensors) else 1e-12)),
        origin=translation.origin,
        dropped=translation.dropped,
        why_headless=why_headless,
        labels=labels_of(config, params, name),
        multi_label=config.get("problem_type") == MULTI_LABEL,
        mean=pixels.mean or default[0],
        std=pixels.std or default[1],
        position_resize="nearest" if has_times else "cubic",
        resize=pixels.resize,
        stated_in=stated_in_config(config) | pixels.stated_in,
        notes=tuple(("(pixels)", note) for note in pixels.notes),
        **facts,
    )


def _refuse_space_only(tensors: Tensors, name: str) -> None:
    """Refuses TimeSformer's space_only attention, which only the tree as a whole shows."""
    is_fused, has_times = (any(part in path for path in tensors) for part in ("attention.attention.qkv.", "embeddings.time_embeddings"))
    if is_fused and not has_times:
        raise UserError(
            f"{name}: TimeSformer with space_only attention classifies each frame alone, a ViViT the clip: no ViViT computes the same"
        )


def _image_layout(params: dict, config: dict, options: SourceOptions, name: str) -> dict:
    size = options.image_size or image_size_of(config)
    has_cls = "cls" in params
    cls_position, grid = image_positions(params["position"], has_cls, params["tokenizer/kernel"].shape[1:3], size, name)
    params["position"] = grid
    if has_cls:
        params["cls_position"] = cls_position
    return {"pool": "token" if has_cls else "mean"}


def _video_layout(params: dict, config: dict, options: SourceOptions, name: str) -> dict:
    tubelet = params["tokenizer/kernel"].shape[:3]
    size = options.image_size or image_size_of(config)
    clip = options.clip or ((config["num_frames"], *size) if size and "num_frames" in config else None)
    params["cls_position"], positions = split_cls(params["position"], has_cls=True)
    asked = SourceOptions(clip=clip, target_clip=options.target_clip)
    grid = video_grid(len(positions), tubelet, asked, name)
    params["position"] = positions.reshape(*grid, -1)
    clip = tuple(n * patch for n, patch in zip(grid, tubelet, strict=True))
    return {"factorisation": "spatio_temporal_attention", "clip": clip, "pool": "token"}


def _timesformer_layout(params: dict, config: dict, options: SourceOptions, name: str) -> dict:
    """Joint space-time attention is Model 1 of one-frame tubelets, with the sum of a place's and a time's position for each token.

    Its tokens lie place by place, ours time by time, which attention does not see.
    """
    facts = _image_layout(params, config, options, name)
    times = params.pop(TIMES)
    params["position"] = params["position"] + times[:, None, None]
    height, width = (n * patch for n, patch in zip(params["position"].shape[1:3], params["tokenizer/kernel"].shape[1:3], strict=True))
    return facts | {"factorisation": "spatio_temporal_attention", "clip": (len(times), height, width)}


def _drop_wide_head(params: dict) -> str | None:
    """DINOv2 classifies the cls token joined to the mean of the others."""
    hidden = params["tokenizer/kernel"].shape[-1]
    if "head/kernel" in params and params["head/kernel"].shape[0] != hidden:
        del params["head/kernel"], params["head/bias"]
        return "its head reads the cls token joined to the mean of the others"
    return None


def _is_square(params: dict) -> bool:
    """Whether positions form a square, as which DINOv2's class resizes them to all frames that are not square, whatever image_size says."""
    return square_grid(len(params["position"]) - ("cls" in params)) is not None


def _is_dino(tensors: Tensors) -> bool:
    return any("layer_scale1" in name for name in tensors)
