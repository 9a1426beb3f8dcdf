"""Scenic's train states (Flax msgpack), those of the original ViViT: all four models, the spatial-only baseline, uniform frame sampling.

https://github.com/google-research/scenic/tree/main/scenic/projects/vivit
"""

import dataclasses
import re

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.vit import google_vit
from vivit_jax.weights.vit.backbone import Backbone, SourceOptions, square_grid
from vivit_jax.weights.vit.names import Row, check_complete, flat, image_kernel, rows, translate
from vivit_jax.weights.vit.positions import split_cls, video_grid

# Where the parameters lie in a train state, by its age.
PREFIXES = ("optimizer/target/params/", "optimizer/target/", "target/params/", "target/", "params/params/", "params/", "")

BLOCK = r"(?:Spatial)?Transformer/encoderblock_(\d+)/"
OUR_BLOCK = "encoder/block_{0:02d}/"
TEMPORAL_BLOCK = r"TemporalTransformer/encoderblock_(\d+)/"
OUR_TEMPORAL_BLOCK = "temporal_encoder/block_{0:02d}/"


def _blocks(source: str, target: str) -> tuple[Row, ...]:
    """The rows of an encoder's blocks."""
    return (
        Row(source + r"LayerNorm_0/(scale|bias)", target + "norm_attention/{1}"),
        Row(source + r"MultiHeadDotProductAttention_0/(query|key|value|out)/(kernel|bias)", target + "attention/{1}/{2}"),
        Row(source + r"LayerNorm_space/(scale|bias)", target + "norm_spatial_attention/{1}"),
        Row(source + r"MultiHeadDotProductAttention_space/(query|key|value|out)/(kernel|bias)", target + "spatial_attention/{1}/{2}"),
        Row(source + r"LayerNorm_time/(scale|bias)", target + "norm_temporal_attention/{1}"),
        Row(source + r"MultiHeadDotProductAttention_time/(query|key|value|out)/(kernel|bias)", target + "temporal_attention/{1}/{2}"),
        Row(source + r"LayerNorm_(?:1|mlp)/(scale|bias)", target + "norm_mlp/{1}"),
        Row(source + r"MlpBlock(?:_0)?/Dense_0/(kernel|bias)", target + "mlp/in/{1}"),
        Row(source + r"MlpBlock(?:_0)?/Dense_1/(kernel|bias)", target + "mlp/out/{1}"),
    )


TABLE = (
    Row(r"embedding/kernel", "tokenizer/kernel", image_kernel),
    Row(r"embedding/bias", "tokenizer/bias"),
    Row(r"cls|cls_SpatialTransformer", "cls", flat),
    Row(r"(?:Spatial)?Transformer/posembed_input/pos_embedding", "position", rows),
    *_blocks(BLOCK, OUR_BLOCK),
    Row(r"(?:Spatial)?Transformer/encoder_norm/(scale|bias)", "encoder/norm/{0}"),
    Row(r"cls_TemporalTransformer", "temporal_encoder/cls", flat),
    Row(r"TemporalTransformer/posembed_input/pos_embedding", "temporal_encoder/position", rows),
    *_blocks(TEMPORAL_BLOCK, OUR_TEMPORAL_BLOCK),
    Row(r"TemporalTransformer/encoder_norm/(scale|bias)", "temporal_encoder/norm/{0}"),
    Row(r"pre_logits/(kernel|bias)", None, reason=google_vit.PRE_LOGITS),
    Row(r"output_projection/(kernel|bias)", "head/{0}"),
)

POOL_NOT_TOLD = ("(pool)", "mean, as published: the tree does not say; give pool where it is another")


def recognises(tensors: Tensors, metadata: dict) -> bool:
    """Whether this is a tree of Scenic's: a video model's, any train state, or one whose head is named as only Scenic does."""
    prefix = _prefix(tensors)
    kernel = tensors.shapes.get(f"{prefix}embedding/kernel", ())
    is_train_state = "/target/" in f"/{prefix}" or f"{prefix}output_projection/kernel" in tensors
    return len(kernel) == 5 or _is_video(tensors) or (len(kernel) == 4 and is_train_state)


def read(tensors: Tensors, metadata: dict, options: SourceOptions) -> Backbone:
    """A ViViT, or the image ViT of a train state. Pixels in [-1, 1], tanh GELU, an epsilon of 1e-6."""
    path, prefix = tensors.path, _prefix(tensors)
    state = sorted({name.split("/")[0] for name in tensors if not name.startswith(prefix)})
    tensors = tensors.renamed({name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)})
    name = f"{path} (scenic)"
    dropped = dict.fromkeys(state, "training state")
    kernel = tensors.shapes.get("embedding/kernel", ())
    if not (len(kernel) == 5 or _is_video(tensors) or (kernel and _samples_frames(tensors, options))):
        backbone = google_vit.read(tensors, metadata, options)
        return dataclasses.replace(backbone, dropped={**backbone.dropped, **dropped})
    query = next((shape for key, shape in tensors.shapes.items() if key.endswith("/query/kernel")), None)
    if query is None or len(query) != 3:
        raise UserError(f"{name}: no attention kernel of shape (width, heads, head width) was found")
    google_vit.check_positions(tensors, name)
    translation = translate(tensors, TABLE, query[1])
    params = check_complete(translation, name, query[1])
    frames = len(tensors.shapes["embedding/kernel"]) == 4
    options = dataclasses.replace(options, frames=frames)
    factorisation = _factorisation(tensors, params, options, name)
    layout = _factorised_layout if factorisation == "factorised_encoder" else _joint_layout
    clip = layout(params, frames, options, name)
    if frames:
        _check_sampling(len(params.get("temporal_encoder/position", params["position"])), clip[0], options, name)
    return Backbone(
        name=name,
        params=params,
        num_heads=query[1],
        activation="gelu_tanh",
        position_resize="linear",
        factorisation=factorisation,
        clip=clip,
        tokenizer="frames" if frames else "tubelet",
        pool="token" if "cls" in params else options.pool or "mean",
        attention_order=options.attention_order,
        origin=translation.origin,
        dropped=translation.dropped | dropped,
        why_headless="its head sits on pre_logits, " + google_vit.PRE_LOGITS if translation.dropped else None,
        notes=() if "cls" in params or options.pool else (POOL_NOT_TOLD,),
    )


def _prefix(tensors: Tensors) -> str:
    return next((prefix for prefix in PREFIXES if f"{prefix}embedding/kernel" in tensors), "")


def _is_video(tensors: Tensors) -> bool:
    return any(re.search(r"(^|/)SpatialTransformer/|MultiHeadDotProductAttention_(space|time)/", name) for name in tensors)


def _samples_frames(tensors: Tensors, options: SourceOptions) -> bool:
    """Whether an image kernel is that of a ViViT over sampled frames: as told, and if its positions fit. One frame is told by number."""
    clip = options.clip or options.target_clip
    positions = tensors.shapes.get("Transformer/posembed_input/pos_embedding")
    if not options.frames or clip is None or positions is None:
        return False
    height, width = tensors.shapes["embedding/kernel"][:2]
    frames, rest = divmod(positions[1] - ("cls" in tensors), (clip[1] // height) * (clip[2] // width))
    if rest or not frames:
        return False
    if options.sampled_frames is not None and _oversamples(clip[0], options.sampled_frames, frames):
        return True
    return frames == options.sampled_frames or (frames > 1 and (options.sampled_frames is None or options.clip is not None))


def _check_sampling(times: int, frames: int, options: SourceOptions, name: str) -> None:
    """Refuses a source that may have one frame more than it was asked for: Scenic then takes other frames than we do."""
    if options.sampled_frames in (None, times - 1) and _oversamples(frames, times - 1, times):
        raise UserError(
            f"{name}: Scenic samples {times} of {frames} frames when asked for {times}, and {times} other ones when asked for {times - 1}: "
            f"give sampled_frames {times} if it was asked for {times}; otherwise no ViViT here computes the same"
        )


def _oversamples(frames: int, asked: int, found: int) -> bool:
    """Whether Scenic, asked for `asked` of so many frames, takes `found`, one too many: its steps are rounded to float32."""
    step = frames / (asked + 1)
    return found == asked + 1 == len(np.arange(step, frames, step, dtype=np.float32))


def _factorisation(tensors: Tensors, params: dict, options: SourceOptions, name: str) -> str:
    """The factorisation, from the names in the tree; Model 1 without a cls token and Model 4 have the same names."""
    if any(path.startswith("SpatialTransformer/") for path in tensors):
        return "factorised_encoder"
    if any("/temporal_attention/" in path for path in params):
        return "factorised_self_attention"
    if "cls" in params:
        return "spatio_temporal_attention"
    if options.factorisation is None:
        raise UserError(
            f"{name}: a tree without a cls token is that of Model 1 and of Model 4: "
            "give factorisation, spatio_temporal_attention or factorised_dot_product_attention"
        )
    same = ("spatio_temporal_attention", "factorised_dot_product_attention")
    return options.factorisation if options.factorisation in same else same[0]


def _joint_layout(params: dict, frames: bool, options: SourceOptions, name: str) -> tuple[int, int, int]:
    """Lays out the positions of Models 1, 3 and 4, and returns the clip."""
    cls_position, positions = split_cls(params["position"], "cls" in params)
    if cls_position is not None:
        params["cls_position"] = cls_position
    tubelet = params["tokenizer/kernel"].shape[:3]
    grid = video_grid(len(positions), tubelet, options, name)
    params["position"] = positions.reshape(*grid, -1)
    return _clip(grid, tubelet, frames, options, name)


def _factorised_layout(params: dict, frames: bool, options: SourceOptions, name: str) -> tuple[int, int, int]:
    """Lays out the positions of Model 2, and returns the clip, of which the spatial-only baseline does not show the frames."""
    tubelet = params["tokenizer/kernel"].shape[:3]
    clip = options.clip or options.target_clip
    has_cls = "cls" in params
    cls_position, positions = split_cls(params["position"], has_cls)
    spatial = (clip[1] // tubelet[1], clip[2] // tubelet[2]) if clip else None
    if not clip or (options.clip is None and spatial[0] * spatial[1] != len(positions)):
        spatial = square_grid(len(positions))
    if spatial is None or spatial[0] * spatial[1] != len(positions):
        wrong = f"are not those of clip {clip}" if clip else "do not form a square"
        raise UserError(f"{name}: its {len(positions)} spatial positions {wrong}: give the clip it was trained on")
    if has_cls:
        params["cls_position"] = cls_position
    params["position"] = positions.reshape(1, *spatial, -1)
    if "temporal_encoder/position" not in params:
        if clip is None:
            raise UserError(f"{name}: how many frames the spatial-only baseline was trained on is not known: give clip")
        if frames and options.sampled_frames is None:
            raise UserError(f"{name}: how many frames the spatial-only baseline samples is not known: give sampled_frames")
        return _clip((clip[0] // tubelet[0], *spatial), tubelet, frames, options, name)
    cls_position, times = split_cls(params["temporal_encoder/position"], has_cls)
    if has_cls:
        params["temporal_encoder/cls_position"] = cls_position
    params["temporal_encoder/position"] = times
    return _clip((len(times), *spatial), tubelet, frames, options, name)


def _clip(
    grid: tuple[int, int, int], tubelet: tuple[int, int, int], frames: bool, options: SourceOptions, name: str
) -> tuple[int, int, int]:
    """(t, h, w) in frames and pixels; how many frames are sampled from is not in the tree."""
    clip = options.clip or options.target_clip
    if frames and clip is None:
        raise UserError(f"{name}: how many frames it samples its {grid[0]} from is not known: give clip")
    time = clip[0] if frames else grid[0] * tubelet[0]
    if not frames and options.clip and options.clip[0] != time:
        raise UserError(f"{name}: its {grid[0]} times in tubelets of {tubelet} are those of {time} frames, not of clip {options.clip}")
    return time, grid[1] * tubelet[1], grid[2] * tubelet[2]
