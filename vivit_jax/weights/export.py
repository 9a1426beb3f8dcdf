"""Write a model for other programs: for Hugging Face, for torchvision or pytorchvideo, as an ONNX file, or as a StableHLO program.

`hugging_face` is what `transformers.VivitForVideoClassification` and `VivitImageProcessor` load, with the same logits; it has Model 1 with
a cls token only. `stablehlo` is the whole forward pass, from uint8 pixels to logits, for any batch size on CPU, CUDA and TPU, with a script
that runs it without this package. `torchvision` is a file, of the weights of `torchvision.models.video`'s R3D-18, MC3-18 or R(2+1)D-18, and
`pytorchvideo` one of its X3D's. `onnx` is the forward pass from normalised pixels, which lasts and runs without JAX (`weights/onnx/`).
"""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from vivit_jax import extras
from vivit_jax.errors import UserError
from vivit_jax.files import appearing, is_url, refuse_mount_point
from vivit_jax.models.families import build, family_of
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.preprocess import Preprocess
from vivit_jax.versions import versions_of
from vivit_jax.weights.layers import flatten, flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import SINGLE_LABEL, WEIGHTS
from vivit_jax.weights.resnet3d.export import export_torchvision
from vivit_jax.weights.tensors import write_safetensors
from vivit_jax.weights.x3d.export import export_pytorchvideo

PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM = "model.stablehlo"
ACTIVATIONS = {"gelu_tanh": "gelu_fast", "gelu": "gelu"}
BILINEAR = 2  # PIL's number
# https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees
PROMISE = (
    "made by jax {jax}: a jax up to 6 months newer or 3 weeks older is promised to run it; a later one tries with "
    "JAX_EXPORT_DESERIALIZE_EXPIRED_VERSIONS=1; the model directory does not age: keep it to export again"
)


def export(pretrained: Pretrained, to: str, out: pathlib.Path, *, batch: int | None = None) -> str | None:
    """Writes a model in another format, whole or not at all.

    Args:
      pretrained: the model.
      to: `hugging_face`, `onnx`, `pytorchvideo`, `stablehlo` or `torchvision`.
      out: the directory to make; for `torchvision` and `pytorchvideo` a file; for `onnx` either.
      batch: for `onnx`, clips that the model takes at once; None for any number.

    Returns:
      What the user should know of the export, if there is anything.

    Raises:
      UserError: if the format cannot express the model, or `out` holds something already.
    """
    if is_url(out):
        raise UserError(f"{out} is a URL: give a local path")
    if batch is not None and to != "onnx":
        raise UserError(f"--batch is for onnx, and what is exported to {to} takes any number of clips: leave it out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty: give another path")
    refuse_mount_point(out)
    with appearing(out) as new:
        return FORMATS[to](pretrained, new, **({} if batch is None else {"batch": batch}))


def export_hugging_face(pretrained: Pretrained, out: pathlib.Path) -> None:
    """A directory for `transformers.VivitForVideoClassification`, `VivitImageProcessor` and, of transformers 5, `VivitVideoProcessor`."""
    config = pretrained.model.config
    if not isinstance(config, ViViTConfig):
        raise UserError(f"Hugging Face has no class for a {config.family}: export to stablehlo")
    _check_expressible(config)
    flat = flatten(pretrained.variables["params"])
    tensors = dict(_torch_tensor(path, np.asarray(array)) for path, array in flat.items())
    out.mkdir(parents=True, exist_ok=True)
    write_safetensors(out / WEIGHTS, tensors, metadata={"format": "pt"})
    _write_json(out / "config.json", _hugging_face_config(config, pretrained.labels, pretrained.problem_type))
    processor = _hugging_face_processor(pretrained.preprocess)
    _write_json(out / "preprocessor_config.json", {"image_processor_type": "VivitImageProcessor"} | processor)
    _write_json(out / "video_preprocessor_config.json", {"video_processor_type": "VivitVideoProcessor"} | processor)


def export_stablehlo(pretrained: Pretrained, out: pathlib.Path) -> str:
    """A `jax.export` program, the parameters it takes, the labels, and a script that runs it.

    The program maps (parameters by path, uint8 video (b, t, h, w, 3)) to float32 logits (b, classes), or a dict of these for several
    heads. It normalises pixels itself, so that they cannot be normalised otherwise than the weights were trained.

    Returns:
      How long JAX promises to read the program.
    """
    config = pretrained.model.config
    precision = {"dtype": config.dtype} if hasattr(config, "dtype") else {}
    config = dataclasses.replace(family_of(config).plain(config), **precision)
    params = {path: np.ascontiguousarray(array, np.float32) for path, array in flatten_variables(pretrained.variables).items()}

    def forward(params: dict[str, jax.Array], video: jax.Array) -> jax.Array:
        pixels = pretrained.preprocess.normalise(video, jnp.float32)
        return build(config).apply(unflatten_variables(params), pixels)

    (batch,) = jax_export.symbolic_shape("b")
    shapes = {path: jax.ShapeDtypeStruct(array.shape, array.dtype) for path, array in params.items()}
    video = jax.ShapeDtypeStruct((batch, *config.clip, 3), jnp.uint8)
    with _without_source_places():
        program = jax_export.export(jax.jit(forward), platforms=PLATFORMS)(shapes, video)
    out.mkdir(parents=True, exist_ok=True)
    (out / PROGRAM).write_bytes(program.serialize())
    write_safetensors(out / WEIGHTS, params)
    _write_json(out / "labels.json", pretrained.labels)
    _write_json(out / "preprocess.json", pretrained.preprocess.to_dict())
    _write_json(out / "outputs.json", {"activation": pretrained.activation.__name__})
    versions = versions_of("vivit_jax", "jax", "jaxlib")
    _write_json(out / "versions.json", versions | {"calling_convention": program.calling_convention_version})
    (out / "run.py").write_text(RUN, encoding="utf-8")
    return PROMISE.format(jax=versions["jax"])


@contextlib.contextmanager
def _without_source_places() -> Iterator[None]:
    """Leaves out where in which file each operation was written: the paths tell of this machine, and would make other bytes on another."""
    before = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


RUN = '''"""Runs model.stablehlo on videos, with nothing but jax, numpy and safetensors.

    python run.py clip.npy      uint8 frames (t, h, w, 3) or (b, t, h, w, 3), as preprocess.json says: resized and cropped
"""

import json
import pathlib
import sys

import jax
import numpy as np
from jax import export
from safetensors.numpy import load_file

here = pathlib.Path(__file__).parent
try:
    program = export.deserialize(bytearray((here / "model.stablehlo").read_bytes()))
except Exception as error:
    made_by = json.loads((here / "versions.json").read_text())["jax"]
    hint = "JAX_EXPORT_DESERIALIZE_EXPIRED_VERSIONS=1 makes it try, or export the model again"
    sys.exit(f"jax {jax.__version__} cannot read this program of jax {made_by}: {error}\\nOne over 6 months older is refused: {hint}")
params = jax.device_put(load_file(here / "model.safetensors"))
labels = json.loads((here / "labels.json").read_text(encoding="utf-8"))
probabilities = getattr(jax.nn, json.loads((here / "outputs.json").read_text())["activation"])  # softmax, or sigmoid of several labels


def logits(video):
    """uint8 (b, t, h, w, 3) to float32 (b, classes), or a dict of these by head."""
    return program.call(params, video)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].endswith(".npy"):
        sys.exit(__doc__)
    video = np.load(sys.argv[1], allow_pickle=False)
    scores = logits(video if video.ndim == 5 else video[None])
    for head, values in (scores if isinstance(scores, dict) else {"": scores}).items():
        names = labels[head] if head else labels
        for row in np.asarray(probabilities(values)) if names else ():
            print(head, *(f"{names[i]} {row[i]:.4f}" for i in np.argsort(-row)[:5]), sep="  ")
        if not names:
            print(np.asarray(values))
'''


def export_onnx(pretrained: Pretrained, out: pathlib.Path, *, batch: int | None = None) -> str:
    """An ONNX file, or a directory with one, and how far onnxruntime is from the model; see `vivit_jax.weights.onnx.export.write_onnx`."""
    extras.check_import("onnx", f"an export to onnx needs the extra onnx: {extras.install('onnx')}")
    from vivit_jax.weights.onnx.export import write_onnx

    return write_onnx(pretrained, out, batch=batch)


FORMATS: dict[str, Callable[..., str | None]] = {
    "hugging_face": export_hugging_face,
    "onnx": export_onnx,
    "pytorchvideo": export_pytorchvideo,
    "stablehlo": export_stablehlo,
    "torchvision": export_torchvision,
}


def _check_expressible(config: ViViTConfig) -> None:
    """Refuses what Hugging Face's ViViT cannot express, by its name."""
    for field, only in (("factorisation", "spatio_temporal_attention"), ("tokenizer", "tubelet"), ("pool", "token")):
        if getattr(config, field) != only:
            raise UserError(f"Hugging Face has ViViT with {field} {only} only (Model 1), got {getattr(config, field)}: export to stablehlo")
    if config.last_norm_eps:
        raise UserError(
            f"Hugging Face has ViViT with one epsilon only, got norm_eps {config.norm_eps:g} and last_norm_eps {config.last_norm_eps:g}: "
            "export to stablehlo"
        )
    if list(config.heads) != [""]:
        raise UserError(f"Hugging Face has ViViT with one head only, got {list(config.heads) or 'none'}: export to stablehlo")


BLOCK = r"transformer/encoder/block_(\d+)/"
THEIR_BLOCK = "vivit.encoder.layer.{0}."
TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as is": lambda x: x,
    "cls": lambda x: x[None, None],
    "rows": lambda x: x[None],
    "kernel": lambda x: x.transpose(4, 3, 0, 1, 2),
    "dense": lambda x: x.T,
    "heads in": lambda x: x.reshape(x.shape[0], -1).T,
    "heads out": lambda x: x.reshape(-1, x.shape[-1]).T,
    "flat": lambda x: x.reshape(-1),
}
# Our parameter, theirs, and how it is transformed; the inverse of the table in vivit_jax/weights/vit/hugging_face.py.
TABLE = (
    (r"tokenizer/kernel", "vivit.embeddings.patch_embeddings.projection.weight", "kernel"),
    (r"tokenizer/bias", "vivit.embeddings.patch_embeddings.projection.bias", "as is"),
    (r"transformer/encoder_cls", "vivit.embeddings.cls_token", "cls"),
    (r"transformer/encoder/position", "vivit.embeddings.position_embeddings", "rows"),
    (BLOCK + r"norm_attention/scale", THEIR_BLOCK + "layernorm_before.weight", "as is"),
    (BLOCK + r"norm_attention/bias", THEIR_BLOCK + "layernorm_before.bias", "as is"),
    (BLOCK + r"attention/(query|key|value)/kernel", THEIR_BLOCK + "attention.attention.{1}.weight", "heads in"),
    (BLOCK + r"attention/(query|key|value)/bias", THEIR_BLOCK + "attention.attention.{1}.bias", "flat"),
    (BLOCK + r"attention/out/kernel", THEIR_BLOCK + "attention.output.dense.weight", "heads out"),
    (BLOCK + r"attention/out/bias", THEIR_BLOCK + "attention.output.dense.bias", "as is"),
    (BLOCK + r"norm_mlp/scale", THEIR_BLOCK + "layernorm_after.weight", "as is"),
    (BLOCK + r"norm_mlp/bias", THEIR_BLOCK + "layernorm_after.bias", "as is"),
    (BLOCK + r"mlp/in/kernel", THEIR_BLOCK + "intermediate.dense.weight", "dense"),
    (BLOCK + r"mlp/in/bias", THEIR_BLOCK + "intermediate.dense.bias", "as is"),
    (BLOCK + r"mlp/out/kernel", THEIR_BLOCK + "output.dense.weight", "dense"),
    (BLOCK + r"mlp/out/bias", THEIR_BLOCK + "output.dense.bias", "as is"),
    (r"transformer/encoder/norm/scale", "vivit.layernorm.weight", "as is"),
    (r"transformer/encoder/norm/bias", "vivit.layernorm.bias", "as is"),
    (r"head/kernel", "classifier.weight", "dense"),
    (r"head/bias", "classifier.bias", "as is"),
)


def _torch_tensor(path: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """A parameter under Hugging Face's name, in PyTorch's layout."""
    for ours, theirs, transform in TABLE:
        if match := re.fullmatch(ours, path):
            groups = [int(group) if group.isdigit() else group for group in match.groups()]
            return theirs.format(*groups), np.ascontiguousarray(TRANSFORMS[transform](array))
    raise AssertionError(f"no name for {path}")


def _hugging_face_config(config: ViViTConfig, labels: tuple[str, ...], problem_type: str) -> dict:
    """Theirs. A single label of one class is left unsaid: transformers refuses it."""
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
    """What both of their processors take to the pixels that we make.

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


def _write_json(path: pathlib.Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
