"""timm's ViTs, and the .pth files of DeiT, DINO and DINOv2, which share their names.

What weights cannot show comes from the config.json beside them (as on the Hugging Face hub), or from timm's defaults. The activation of an
architecture stands in timm's code alone; those that differ from the default are listed here.
"""

import re
from collections.abc import Mapping

from vivit_jax.errors import UserError
from vivit_jax.preprocess import HALF
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.timm_arguments import refuse_others
from vivit_jax.weights.vit.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, SourceOptions, heads_of_width
from vivit_jax.weights.vit.config_json import checked_fields
from vivit_jax.weights.vit.names import (
    Row,
    check_complete,
    flat,
    fold_layer_scale,
    heads_out,
    refuse,
    rows,
    torch_image_kernel,
    torch_linear,
    torch_norm,
    torch_query_key_value,
    translate,
)
from vivit_jax.weights.vit.positions import image_positions

MODEL = r"(?:(?:module|model|backbone)\.)*"
BLOCK = MODEL + r"blocks\.(\d+)\."
OUR_BLOCK = "encoder/block_{0:02d}/"

TABLE = (
    *torch_linear(MODEL + r"patch_embed\.proj", "tokenizer", torch_image_kernel),
    Row(MODEL + r"cls_token", "cls", flat),
    Row(MODEL + r"pos_embed", "position", rows),
    Row(MODEL + r"mask_token", None, reason="stands for hidden patches in pre-training"),
    *torch_norm(BLOCK + r"norm1", OUR_BLOCK + "norm_attention"),
    *torch_query_key_value(BLOCK + r"attn\.qkv", OUR_BLOCK + "attention"),
    *torch_linear(BLOCK + r"attn\.proj", OUR_BLOCK + "attention/out", heads_out),
    Row(BLOCK + r"(?:ls1\.gamma|gamma_1)", OUR_BLOCK + "attention/layer_scale"),
    *torch_norm(BLOCK + r"norm2", OUR_BLOCK + "norm_mlp"),
    *torch_linear(BLOCK + r"mlp\.fc1", OUR_BLOCK + "mlp/in"),
    *torch_linear(BLOCK + r"mlp\.fc2", OUR_BLOCK + "mlp/out"),
    Row(BLOCK + r"(?:ls2\.gamma|gamma_2)", OUR_BLOCK + "mlp/layer_scale"),
    *torch_norm(MODEL + r"(?:norm|fc_norm)", "encoder/norm"),
    Row(MODEL + r"(?:dino_|ibot_)?head\.(?:mlp|last_layer)\..*", None, reason="the projection of self-supervised training"),
    *torch_linear(MODEL + r"head", "head"),
)
REFUSED = (
    (r"dist_token|head_dist", "a distilled DeiT has a second token with a head of its own, which a ViViT has no place for"),
    (r"reg_token|register_tokens", "register tokens take part in every attention, and a ViViT has none"),
    (r"norm_pre\.", "it normalises before its first block (pre-norm, as CLIP), and a ViViT does not"),
    (r"attn\.[qk]_norm", "it normalises queries and keys, and a ViViT does not"),
    (r"attn_pool\.", "it pools by attention (SigLIP), and a ViViT does not"),
    (r"mlp\.(w12|w3|fc1_g|norm)\b", "its MLPs are gated (SwiGLU), a ViViT's are not"),
    (r"rel_pos|relative_position|rope", "its positions are relative or rotary, a ViViT's are added"),
    (r"temporal_attn\.", "TimeSformer's divided attention has a cls token in each frame, Model 3 has none: no ViViT computes the same"),
    (r"attn\.[qv]_bias", "its attention is that of BEiT or EVA, whose positions a ViViT does not have"),
    (r"patch_embed\.backbone\.", "its patches are features of a ResNet (a hybrid), a ViViT's are pixels"),
)
NORM_AFTER_POOL = "its head normalises after averaging tokens that have attended to a cls token, and a ViViT that does so has none"
# Our names of timm's values of `global_pool`; a ViViT has no others.
POOLS = {"token": "token", "avg": "mean", "max": "max"}

# Architectures that have not the attention heads of other models of their width.
HEADS_OF_ARCHITECTURE = {"vit_base_patch16_gap_224": 16}
# Architectures whose code has tanh GELU.
TANH = r"vit_(base_patch32_siglip|giantopt_|large_patch16_siglip_gap_512|so400m_patch16_siglip)"
# Arguments that change what the same weights compute, with the values that mean a plain ViT.
PLAIN_ARGUMENTS = {
    "attn_layer": ("", "attn", "attention"),
    "attn_type": ("eva",),
    "block_fn": ("", "Block"),
    "mlp_layer": ("", "mlp", "Mlp"),
    "use_post_norm": (False,),
    "use_rot_pos_emb": (False,),
}
# Our names of timm's values of `act_layer`.
ACTIVATIONS = {"gelu": "gelu", "gelu_erf": "gelu", "gelu_tanh": "gelu_tanh"}


def recognises(tensors: Tensors, metadata: dict) -> bool:
    """Whether these are names of timm's vision transformers."""
    return any(re.fullmatch(BLOCK + r"attn\.qkv\.weight", name) for name in tensors)


def read(tensors: Tensors, metadata: dict, options: SourceOptions) -> Backbone:
    """An image ViT. timm's ViTs have an epsilon of 1e-6, and exact GELU unless their architecture is listed with another."""
    name = f"{tensors.path} (timm)"
    config = checked_fields(metadata.get("config", {}), name)
    architecture = config.get("architecture", "")
    refuse(tensors, REFUSED, name)
    _refuse_by_architecture(architecture, metadata.get("config", {}).get("model_args") or {}, name)
    _refuse_gated(tensors, name)
    told = options.num_heads or config.get("model_args", {}).get("num_heads") or HEADS_OF_ARCHITECTURE.get(architecture)
    heads = told or _heads(tensors, options, name)
    translation = translate(tensors, TABLE, heads)
    params = fold_layer_scale(check_complete(translation, name, heads, optional_biases=True))
    has_cls = "cls" in params
    size = options.image_size or _image_size(config)
    patch = params["tokenizer/kernel"].shape[1:3]
    cls_position, params["position"] = image_positions(params["position"], has_cls, patch, size, name)
    if has_cls:
        params["cls_position"] = cls_position
    pool, why_headless = _pooling(translation.origin["encoder/norm/scale"], has_cls, config)
    recipe = config.get("pretrained_cfg", config)
    has_layer_scale = any(path.endswith("/layer_scale") for path in translation.params)
    default_mean, default_std = (IMAGENET_MEAN, IMAGENET_STD) if has_layer_scale else (HALF, HALF)
    return Backbone(
        name=name,
        params=params,
        num_heads=heads,
        mean=tuple(recipe.get("mean", default_mean)),
        std=tuple(recipe.get("std", default_std)),
        activation=_activation(config, architecture, name),
        position_resize="cubic_antialiased" if architecture else "cubic",  # what timm saves says so; a .pth alone is taken for DINO's
        stated_in=_stated_in(config, recipe),
        pool=pool,
        origin=translation.origin,
        dropped=translation.dropped,
        why_headless=why_headless,
        notes=(("(norm)", "the source applies it after averaging the tokens, a ViViT before"),) if why_headless == NORM_AFTER_POOL else (),
    )


def _stated_in(config: dict, recipe: dict) -> dict[str, str]:
    fields = (*(("activation",) if "architecture" in config else ()), *(name for name in ("mean", "std") if name in recipe))
    return dict.fromkeys(fields, "config.json")


def _activation(config: dict, architecture: str, name: str) -> str:
    """The MLPs' activation under our name, by the arguments that config.json has, or by the architecture's."""
    arguments = config.get("model_args", {})
    if "layernorm" not in arguments.get("norm_layer", "layernorm"):
        raise UserError(f"{name}: config.json says norm_layer {arguments['norm_layer']!r}, and a ViViT has LayerNorm")
    activation = arguments.get("act_layer", "gelu_tanh" if re.match(TANH, architecture) else "gelu")
    if activation not in ACTIVATIONS:
        raise UserError(f"{name}: config.json says act_layer {activation!r}, and a ViViT's is one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]


def _refuse_by_architecture(architecture: str, arguments: Mapping, name: str) -> None:
    """Refuses what config.json alone tells: the weights have the names and shapes of a plain ViT's."""
    for part, reason in (
        ("quickgelu", "has QuickGELU"),
        ("_rpn_", "normalises after each residual branch (res-post-norm)"),
        ("_rope_", "turns queries and keys by their places (rotary positions) beside adding learned ones"),
    ):
        if part in architecture:
            raise UserError(f"{name}: {architecture} {reason}, which a ViViT does not")
    refuse_others(arguments, PLAIN_ARGUMENTS, name, "a ViViT")


def _refuse_gated(tensors: Tensors, name: str) -> None:
    """Refuses a packed gate, which only shapes show: fc1 is twice as wide as fc2."""
    for path, shape in tensors.shapes.items():
        out = tensors.shapes.get(path.replace("mlp.fc1.weight", "mlp.fc2.weight"))
        if path.endswith("mlp.fc1.weight") and out and shape[0] == 2 * out[-1]:
            raise UserError(f"{name}: its MLPs are gated (SwiGLU), a ViViT's are not (it holds {path} {shape})")


def _pooling(norm: str, has_cls: bool, config: dict) -> tuple[str, str | None]:
    """How the tokens are pooled, and why the head cannot be kept if that is not how a ViViT does it."""
    stated = config.get("model_args", {}).get("global_pool", config.get("global_pool"))
    if norm.endswith("fc_norm.weight") and stated in (None, "avg"):
        return ("mean", NORM_AFTER_POOL) if has_cls else ("mean_then_norm", None)
    if norm.endswith("fc_norm.weight") and stated != "token":
        return "token" if has_cls else "mean", f"its head normalises tokens pooled by {stated!r}, which a ViViT does not"
    if stated not in (None, *POOLS):
        return "token" if has_cls else "mean", f"its head reads tokens pooled by {stated!r}, which a ViViT does not"
    pool = POOLS.get(stated, "token" if has_cls else "mean")
    if has_cls and pool != "token":
        return pool, f"its head reads the {pool} of tokens that have attended to a cls token, and a ViViT of pool {pool} has none"
    return pool, None


def _heads(tensors: Tensors, options: SourceOptions, name: str) -> int:
    kernel = next((shape for path, shape in tensors.shapes.items() if path.endswith("attn.qkv.weight")), ())
    if not kernel:
        raise UserError(f"{name}: no attention kernel (attn.qkv.weight) was found")
    return heads_of_width(kernel[-1], options, name)


def _image_size(config: dict) -> tuple[int, int] | None:
    """The image size that the positions are for. `model_args` override the recipe, whose size timm resizes them to when it loads."""
    size = config.get("model_args", {}).get("img_size")
    if size is None:
        size = config.get("pretrained_cfg", config).get("input_size", [3, None])[1:]
        size = size if len(size) == 2 else None
    return (size, size) if isinstance(size, int) else tuple(size) if size else None
