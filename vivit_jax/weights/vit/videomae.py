"""VideoMAE and VideoMAE v2 (Tong et al. 2022, Wang et al. 2023), Hugging Face's and the authors' names: Model 1, its mean normalised.

Their positions are fixed, by sine and cosine of a token's number, and lie in no file: they become our learned ones, which the clip's
frames and pixels must be known for. Keys have no bias, which is zero here. Pixels have ImageNet's mean and standard deviation.
"""

import dataclasses
import re

import numpy as np

from vivit_jax.errors import UserError
from vivit_jax.weights.model_json import MULTI_LABEL
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.vit.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, Params, SourceOptions, heads_of_width
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
    fused_heads_in,
    heads_in,
    heads_in_bias,
    heads_out,
    torch_linear,
    torch_norm,
    torch_video_kernel,
    translate,
)

OUR_BLOCK = "encoder/block_{0:02d}/"
DECODER = "reconstructs hidden patches in pre-training"
TORCH_EPS = 1e-5  # of the LayerNorm after the mean in Hugging Face's class, whatever layer_norm_eps says
FIRST_TOKEN = "its head, if it has one, reads the first token, since it does not average"

THEIRS = r"(?:(?:module|model|encoder|backbone)\.)*"  # the authors'
THEIR_BLOCK = THEIRS + r"blocks\.(\d+)\."
HUGGING_FACE = r"(?:videomae\.)?"
HUGGING_FACE_BLOCK = HUGGING_FACE + r"encoder\.layer\.(\d+)\."

TABLE = (
    Row(r"(?:decoder|encoder_to_decoder|module\.decoder)[.\w]*", None, reason=DECODER),
    Row(rf"(?:{HUGGING_FACE}embeddings\.)?mask_token", None, reason=DECODER),
    *torch_linear(THEIRS + r"patch_embed\.proj", "tokenizer", torch_video_kernel),
    Row(
        THEIR_BLOCK + r"attn\.qkv\.weight",
        tuple(OUR_BLOCK + f"attention/{part}/kernel" for part in ("query", "key", "value")),
        fused_heads_in,
    ),
    Row(THEIR_BLOCK + r"attn\.q_bias", OUR_BLOCK + "attention/query/bias", heads_in_bias),
    Row(THEIR_BLOCK + r"attn\.v_bias", OUR_BLOCK + "attention/value/bias", heads_in_bias),
    *torch_linear(THEIR_BLOCK + r"attn\.proj", OUR_BLOCK + "attention/out", heads_out),
    *torch_norm(THEIR_BLOCK + r"norm1", OUR_BLOCK + "norm_attention"),
    *torch_norm(THEIR_BLOCK + r"norm2", OUR_BLOCK + "norm_mlp"),
    *torch_linear(THEIR_BLOCK + r"mlp\.fc1", OUR_BLOCK + "mlp/in"),
    *torch_linear(THEIR_BLOCK + r"mlp\.fc2", OUR_BLOCK + "mlp/out"),
    *torch_norm(THEIRS + r"(?:fc_norm|norm)", "encoder/norm"),
    *torch_linear(r"(?:(?:module|model)\.)*head", "head"),
    *torch_linear(HUGGING_FACE + r"embeddings\.patch_embeddings\.projection", "tokenizer", torch_video_kernel),
    *(
        Row(HUGGING_FACE_BLOCK + rf"attention\.attention\.{part}\.weight", OUR_BLOCK + f"attention/{part}/kernel", heads_in)
        for part in ("query", "key", "value")
    ),
    *(
        Row(
            HUGGING_FACE_BLOCK + rf"attention\.attention\.(?:{part}\.bias|{part[0]}_bias)",
            OUR_BLOCK + f"attention/{part}/bias",
            heads_in_bias,
        )
        for part in ("query", "value")
    ),
    *torch_linear(HUGGING_FACE_BLOCK + r"attention\.output\.dense", OUR_BLOCK + "attention/out", heads_out),
    *torch_norm(HUGGING_FACE_BLOCK + r"layernorm_before", OUR_BLOCK + "norm_attention"),
    *torch_norm(HUGGING_FACE_BLOCK + r"layernorm_after", OUR_BLOCK + "norm_mlp"),
    *torch_linear(HUGGING_FACE_BLOCK + r"intermediate\.dense", OUR_BLOCK + "mlp/in"),
    *torch_linear(HUGGING_FACE_BLOCK + r"output\.dense", OUR_BLOCK + "mlp/out"),
    *torch_norm(r"fc_norm", "encoder/norm"),
    *torch_norm(HUGGING_FACE + r"layernorm", "encoder/norm"),
    *torch_linear(r"classifier", "head"),
)
KERNEL = re.compile(rf"{THEIRS}patch_embed\.proj\.weight|{HUGGING_FACE}embeddings\.patch_embeddings\.projection\.weight")


def recognises(tensors: Tensors, metadata: dict) -> bool:
    """Whether these are names of a VideoMAE: a kernel over time, and neither a cls token nor positions of its own."""
    return len(_kernel(tensors)) == 5 and not any(
        re.search(r"cls_token|pos_embed|position_embeddings|time_embeddings", name) for name in tensors
    )


def _kernel(tensors: Tensors) -> tuple[int, ...]:
    """The shape of the kernel that embeds tubelets; empty if there is none."""
    return next((shape for name, shape in tensors.shapes.items() if KERNEL.fullmatch(name)), ())


def read(tensors: Tensors, metadata: dict, options: SourceOptions) -> Backbone:
    """A VideoMAE, with its head where it was fine-tuned.

    Raises:
      UserError: for tensors that are not those of a VideoMAE, or a clip that is neither told nor asked for.
    """
    name = f"{tensors.path} (videomae)"
    config = checked_fields(metadata.get("config", {}), name)
    kernel = _kernel(tensors)
    if len(kernel) != 5:
        raise UserError(f"{name}: no kernel of tubelets, with five axes, was found")
    heads = options.num_heads or config.get("num_attention_heads") or heads_of_width(kernel[0], options, name)
    translation = translate(tensors, TABLE, heads)
    params, notes = _filled_in(translation.params)
    clip = _clip(config, options, name)
    params["position"] = sine_cosine_positions(_grid(clip, kernel[2:], name), kernel[0])
    params = check_complete(dataclasses.replace(translation, params=params), name, heads)
    check_depth(params, config, name)
    normalises_mean = not re.search(r"(?<!fc_)norm\.weight$", translation.origin.get("encoder/norm/scale", ""))
    pixels = read_processors(metadata.get("pixels", {}), name)
    pixels.check_crop(clip[1:], name)
    return Backbone(
        name=name,
        params=params,
        num_heads=heads,
        activation=activation_of(config, "gelu", name),
        norm_eps=float(config.get("layer_norm_eps", 1e-12 if config else 1e-6)),
        last_norm_eps=TORCH_EPS if normalises_mean and "embeddings" in translation.origin["tokenizer/kernel"] else None,
        origin=translation.origin,
        dropped=translation.dropped,
        factorisation="spatio_temporal_attention",
        clip=clip,
        pool="mean_then_norm" if normalises_mean else "mean",
        why_headless=regression_of(config) if normalises_mean else FIRST_TOKEN,
        labels=labels_of(config, params, name),
        multi_label=config.get("problem_type") == MULTI_LABEL,
        mean=pixels.mean or IMAGENET_MEAN,
        std=pixels.std or IMAGENET_STD,
        resize=pixels.resize,
        stated_in=stated_in_config(config) | pixels.stated_in,
        notes=(("(positions)", f"fixed, by sine and cosine, made for {clip}"), *notes, *(("(pixels)", note) for note in pixels.notes)),
    )


def sine_cosine_positions(grid: tuple[int, int, int], width: int) -> np.ndarray:
    """(n_t, n_h, n_w, d) float32: sines of even and cosines of odd channels, of the number of a token along time, height and width."""
    number, channel = np.arange(np.prod(grid))[:, None], np.arange(width)
    angle = number / np.power(10000, 2 * (channel // 2) / width)
    return np.where(channel % 2, np.cos(angle), np.sin(angle)).astype(np.float32).reshape(*grid, width)


def _filled_in(params: Params) -> tuple[Params, tuple[tuple[str, str], ...]]:
    """The parameters with what a VideoMAE lacks, and notes on it for the report.

    It lacks the biases of keys, in some models also those of queries and values, and before fine-tuning the last LayerNorm.
    """
    params = dict(params)
    for path in [path for path in params if re.search(r"attention/(query|key|value)/kernel$", path)]:
        params.setdefault(path.replace("kernel", "bias"), np.zeros(params[path].shape[1:], np.float32))
    if "encoder/norm/scale" not in params and "tokenizer/bias" in params:
        width = params["tokenizer/bias"].shape
        params |= {"encoder/norm/scale": np.ones(width, np.float32), "encoder/norm/bias": np.zeros(width, np.float32)}
        return params, (("(norm)", "fresh: the source was not fine-tuned, and has none after its mean"),)
    return params, ()


def _clip(config: dict, options: SourceOptions, name: str) -> tuple[int, int, int]:
    """The clip that the positions are made for."""
    size = options.image_size or image_size_of(config)
    clip = options.clip or ((config["num_frames"], *size) if size and "num_frames" in config else None) or options.target_clip
    if clip is None:
        raise UserError(f"{name}: its positions are fixed and in no file: give clip, the (frames, height, width) that it was trained on")
    return clip


def _grid(clip: tuple[int, int, int], tubelet: tuple[int, ...], name: str) -> tuple[int, int, int]:
    if any(extent % patch for extent, patch in zip(clip, tubelet, strict=True)):
        raise UserError(f"{name}: a clip of {clip} cannot be cut into tubelets of {tuple(tubelet)}")
    return tuple(extent // patch for extent, patch in zip(clip, tubelet, strict=True))
