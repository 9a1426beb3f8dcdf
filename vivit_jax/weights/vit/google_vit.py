"""Google's image ViTs in Flax: the .npz files of ImageNet-21k and AugReg, their older names, and big_vision's.

https://github.com/google-research/vision_transformer, https://github.com/google-research/big_vision
"""

import dataclasses
import re

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions
from vivit_jax.weights.vit.names import Row, Translation, check_complete, flat, image_kernel, rows, translate
from vivit_jax.weights.vit.positions import image_grid, split_cls

BLOCK = r"Transformer/encoderblock_(\d+)/"
OUR_BLOCK = "encoder/block_{0:02d}/"

# Modules of a block were numbered in one row at first (LayerNorm_0, MultiHeadDotProductAttention_1, LayerNorm_2, MlpBlock_3).
BLOCKS = (
    Row(BLOCK + r"LayerNorm_0/(scale|bias)", OUR_BLOCK + "norm_attention/{1}"),
    Row(BLOCK + r"MultiHeadDotProductAttention_[01]/(query|key|value|out)/(kernel|bias)", OUR_BLOCK + "attention/{1}/{2}"),
    Row(BLOCK + r"LayerNorm_[12]/(scale|bias)", OUR_BLOCK + "norm_mlp/{1}"),
    Row(BLOCK + r"MlpBlock_[03]/Dense_0/(kernel|bias)", OUR_BLOCK + "mlp/in/{1}"),
    Row(BLOCK + r"MlpBlock_[03]/Dense_1/(kernel|bias)", OUR_BLOCK + "mlp/out/{1}"),
    Row(r"Transformer/encoder_norm/(scale|bias)", "encoder/norm/{0}"),
)
PRE_LOGITS = "a layer between feature and head, which a ViViT does not have"
TABLE = (
    Row(r"embedding/kernel", "tokenizer/kernel", image_kernel),
    Row(r"embedding/bias", "tokenizer/bias"),
    Row(r"cls", "cls", flat),
    Row(r"Transformer/posembed_input/pos_embedding", "position", rows),
    Row(r"pos_embedding", "position", rows),
    Row(r"Transformer/posembed_input/pos_embedding_(\d+)x(\d+)", "grids/{0}x{1}", rows),
    *BLOCKS,
    Row(r"pre_logits/(kernel|bias)", None, reason=PRE_LOGITS),
    Row(r"MAPHead_0/.*", None, reason="attention pooling, which a ViViT does not have"),
    Row(r"(?:head|output_projection)/(kernel|bias)", "head/{0}"),
)


# big_vision saves `params/...`, its image and text models `params/img/...` and `params/txt/...`, and train states `opt/...` besides.
PREFIXES = ("params/", "params/img/", "opt/target/", "optimizer/target/")


def recognises(tensors: Tensors, metadata: dict) -> bool:
    """Whether these are names of a Flax ViT."""
    return any(re.match(rf"({'|'.join(PREFIXES)})?Transformer/encoderblock", name) for name in tensors)


def read(tensors: Tensors, metadata: dict, options: SourceOptions) -> Backbone:
    """An image ViT. Pixels in [-1, 1], tanh GELU and an epsilon of 1e-6 are what Google trains with."""
    name = f"{tensors.path} (google_vit)"
    tensors, dropped = _without_prefix(tensors)
    tensors = _unstacked(tensors)
    query = next((shape for path, shape in tensors.shapes.items() if path.endswith("/query/kernel")), None)
    if query is None or len(query) != 3:
        raise UserError(f"{name}: no attention kernel of shape (width, heads, head width) was found")
    check_positions(tensors, name)
    heads = query[1]
    backbone = image_backbone(name, translate(tensors, TABLE, heads), heads, options, activation="gelu_tanh", position_resize="linear")
    return dataclasses.replace(backbone, dropped={**backbone.dropped, **dropped})


def check_positions(tensors: Tensors, name: str) -> None:
    """Refuses models whose positions are fixed (`sincos2d`, `sinusoidal_1d`) or that have none, which do not lie in their files."""
    if not any("pos_embedding" in path for path in tensors):
        raise UserError(f"{name}: it holds no learned positions, as a ViViT has them: the source's are fixed by a formula, or it has none")


def image_backbone(name: str, translation: Translation, heads: int, options: SourceOptions, **facts: object) -> Backbone:
    """A Backbone of Flax names, its positions laid out."""
    has_map_head = any(path.startswith("MAPHead_0/") for path in translation.dropped)
    grids = {path: translation.params.pop(path) for path in list(translation.params) if path.startswith("grids/")}
    params = check_complete(translation, name, heads)
    has_cls = "cls" in params
    positions = params.pop("position")
    patch = params["tokenizer/kernel"].shape[1:3]
    # big_vision adds positions before the cls token, which then has none.
    cls_has_position = has_cls and translation.origin["position"] != "pos_embedding"
    cls_position, positions = split_cls(positions, cls_has_position)
    grid = image_grid(len(positions), patch, options.image_size, name)
    params["position"] = positions.reshape(1, *grid, -1)
    if has_cls:
        params["cls_position"] = cls_position if cls_has_position else np.zeros_like(params["cls"])
    return Backbone(
        name=name,
        params=params,
        num_heads=heads,
        pool="token" if has_cls else "mean",
        grids={_grid_of(path): _ready_grid(path, array, has_cls, name) for path, array in grids.items()},
        origin=translation.origin,
        dropped=translation.dropped,
        why_headless=(
            "its head sits on attention pooling"
            if has_map_head
            else "its head sits on pre_logits, " + PRE_LOGITS
            if translation.dropped
            else None
        ),
        **facts,
    )


def _grid_of(path: str) -> tuple[int, int]:
    height, width = path.removeprefix("grids/").split("x")
    return int(height), int(width)


def _ready_grid(path: str, array: np.ndarray, has_cls: bool, name: str) -> np.ndarray:
    """Positions that the file holds ready for another grid."""
    grid = _grid_of(path)
    _, positions = split_cls(array, has_cls)
    if len(positions) != grid[0] * grid[1]:
        raise UserError(f"{name}: positions for a grid of {grid[0]} x {grid[1]} must be {grid[0] * grid[1]}, got {len(positions)}")
    return positions.reshape(*grid, -1)


def _without_prefix(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    """The image model alone, and what lies beside it with the reason to leave that out."""
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}embedding/kernel" in tensors), "")
    if not prefix:
        return tensors, {}
    beside = {re.sub(r"^(params/)?([^/]+).*", r"\2", name) for name in tensors if not name.startswith(prefix)}
    dropped = {name: "the text model" if prefix == "params/img/" and name == "txt" else "training state" for name in sorted(beside)}
    return tensors.renamed({name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}), dropped


def _unstacked(tensors: Tensors) -> Tensors:
    """big_vision's scanned models stack their blocks under `Transformer/encoderblock`."""
    stacked = [name for name in tensors if name.startswith("Transformer/encoderblock/")]
    if not stacked:
        return tensors
    layers = {
        name.replace("encoderblock/", f"encoderblock_{layer}/"): (name, layer)
        for name in stacked
        for layer in range(tensors.shapes[name][0])
    }
    shapes = {name: shape for name, shape in tensors.shapes.items() if name not in stacked}
    shapes |= {name: tensors.shapes[source][1:] for name, (source, _) in layers.items()}

    def read_layer(name: str) -> np.ndarray:
        source, layer = layers.get(name, (name, ...))
        return tensors[source][layer]

    return Tensors(tensors.path, shapes, read_layer)
