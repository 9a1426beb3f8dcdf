"""Writes a ViViT of Model 1 as `transformers.VivitForVideoClassification` loads it, with the processors that make its pixels."""

import pathlib

import numpy as np

from vivit_jax.atomic import write_json
from vivit_jax.errors import UserError
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import SINGLE_LABEL, WEIGHTS
from vivit_jax.weights.tensors import write_safetensors
from vivit_jax.weights.torch_names import Table, torch_names

ACTIVATIONS = {"gelu_tanh": "gelu_fast", "gelu": "gelu"}
BILINEAR = 2  # PIL's number

BLOCK = r"transformer/encoder/block_(\d+)/"
THEIR_BLOCK = "vivit.encoder.layer.{0}."
# Our module and theirs; the inverse of the table in vivit_jax/weights/vit/hugging_face.py.
MODULES: Table = (
    (r"tokenizer", "vivit.embeddings.patch_embeddings.projection"),
    (BLOCK + r"norm_attention", THEIR_BLOCK + "layernorm_before"),
    (BLOCK + r"attention/(query|key|value)", THEIR_BLOCK + "attention.attention.{1}"),
    (BLOCK + r"attention/out", THEIR_BLOCK + "attention.output.dense"),
    (BLOCK + r"norm_mlp", THEIR_BLOCK + "layernorm_after"),
    (BLOCK + r"mlp/in", THEIR_BLOCK + "intermediate.dense"),
    (BLOCK + r"mlp/out", THEIR_BLOCK + "output.dense"),
    (r"transformer/encoder/norm", "vivit.layernorm"),
    (r"head", "classifier"),
)
# Our parameters that lie in no such module, and theirs.
EMBEDDINGS = {
    "transformer/encoder_cls": "vivit.embeddings.cls_token",
    "transformer/encoder/position": "vivit.embeddings.position_embeddings",
}


def export_hugging_face(pretrained: Pretrained, out: pathlib.Path) -> None:
    """A directory for `transformers.VivitForVideoClassification`, `VivitImageProcessor` and, of transformers 5, `VivitVideoProcessor`."""
    config = pretrained.model.config
    if not isinstance(config, ViViTConfig):
        raise UserError(f"Hugging Face has no class for a {config.family}: export to onnx or stablehlo")
    _check_expressible(config)
    flat = flatten(pretrained.variables["params"])
    names = torch_names(flat.keys() - EMBEDDINGS.keys(), MODULES) | EMBEDDINGS
    tensors = {names[path]: _torch_tensor(path, np.ascontiguousarray(array)) for path, array in flat.items()}
    out.mkdir(parents=True, exist_ok=True)
    write_safetensors(out / WEIGHTS, tensors, metadata={"format": "pt"})
    write_json(out / "config.json", _hugging_face_config(config, pretrained.labels, pretrained.problem_type))
    processor = _hugging_face_processor(pretrained.preprocess)
    write_json(out / "preprocessor_config.json", {"image_processor_type": "VivitImageProcessor"} | processor)
    write_json(out / "video_preprocessor_config.json", {"video_processor_type": "VivitVideoProcessor"} | processor)


def _check_expressible(config: ViViTConfig) -> None:
    """Refuses what Hugging Face's ViViT cannot express, by its name."""
    for field, only in (("factorisation", "spatio_temporal_attention"), ("tokenizer", "tubelet"), ("pool", "token")):
        if getattr(config, field) != only:
            raise UserError(
                f"Hugging Face has ViViT with {field} {only} only (Model 1), got {getattr(config, field)}: export to onnx or stablehlo"
            )
    if config.last_norm_eps:
        raise UserError(
            f"Hugging Face has ViViT with one epsilon only, got norm_eps {config.norm_eps:g} and last_norm_eps {config.last_norm_eps:g}: "
            "export to onnx or stablehlo"
        )
    if list(config.heads) != [""]:
        raise UserError(f"Hugging Face has ViViT with one head only, got {list(config.heads) or 'none'}: export to onnx or stablehlo")


def _torch_tensor(path: str, array: np.ndarray) -> np.ndarray:
    """A parameter in PyTorch's layout."""
    if path in EMBEDDINGS:
        return array.reshape(1, -1, array.shape[-1])
    return _torch_kernel(path, array) if path.endswith("kernel") else array.reshape(-1)


def _torch_kernel(path: str, kernel: np.ndarray) -> np.ndarray:
    """A kernel of ours, (t, h, w, 3, d) or (in, out), in which in or out may be (heads, f), as PyTorch has it: with its outputs first."""
    if kernel.ndim == 5:
        return np.ascontiguousarray(kernel.transpose(4, 3, 0, 1, 2))
    matrix = kernel.reshape(-1, kernel.shape[-1]) if path.endswith("/out/kernel") else kernel.reshape(kernel.shape[0], -1)
    return np.ascontiguousarray(matrix.T)


def _hugging_face_config(config: ViViTConfig, labels: tuple[str, ...], problem_type: str) -> dict:
    """The config.json of their class. It leaves out `problem_type` for a single label of one class, which transformers refuses."""
    unsaid = problem_type == SINGLE_LABEL and len(labels) == 1
    return {
        "architectures": ["VivitForVideoClassification"],
        "model_type": "vivit",
        "attention_probs_dropout_prob": config.attention_dropout,
        "hidden_act": ACTIVATIONS[config.activation],
        "hidden_dropout_prob": config.dropout,
        "hidden_size": config.hidden_size,
        "image_size": config.clip[1] if config.clip[1] == config.clip[2] else list(config.clip[1:]),
        "intermediate_size": config.mlp_dim,
        "layer_norm_eps": config.norm_eps,
        "num_attention_heads": config.num_heads,
        "num_channels": 3,
        "num_frames": config.clip[0],
        "num_hidden_layers": config.num_layers,
        "qkv_bias": True,
        "tubelet_size": list(config.tubelet),
        **({} if unsaid else {"problem_type": problem_type}),
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _hugging_face_processor(preprocess: Preprocess) -> dict:
    """A processor's config with which both of their classes make the pixels that we make.

    `VivitVideoProcessor`, which transformers 5 prefers, always subtracts 1 after scaling and knows no `offset`; `VivitImageProcessor` does
    so if asked. So pixels lie in [-1, 1] first, and mean and std are those of that range.
    """
    return {
        "do_resize": True,
        "size": {"shortest_edge": preprocess.resize},
        "resample": BILINEAR,
        "do_center_crop": True,
        "crop_size": {"height": preprocess.crop[0], "width": preprocess.crop[1]},
        "do_rescale": True,
        "rescale_factor": 1 / 127.5,
        "offset": True,
        "do_normalize": True,
        "image_mean": [2 * value - 1 for value in preprocess.mean],
        "image_std": [2 * value for value in preprocess.std],
    }
