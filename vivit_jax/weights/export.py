"""Writes a model for other programs: for Hugging Face, for torchvision or pytorchvideo, as an ONNX file, or as a StableHLO program.

`hugging_face` is what `transformers.VivitForVideoClassification` and `VivitImageProcessor` load, with the same logits; it has Model 1 with
a cls token only. `stablehlo` is the whole forward pass, from uint8 pixels to logits, for any batch size on CPU, CUDA and TPU, with a script
that runs it without this package. `torchvision` is a file, of the weights of `torchvision.models.video`'s R3D-18, MC3-18 or R(2+1)D-18, and
`pytorchvideo` one of its X3D's. `onnx` is the forward pass from normalised pixels, which lasts and runs without JAX (`weights/onnx/`).
"""

import pathlib
from collections.abc import Callable

from vivit_jax import extras
from vivit_jax.atomic import appearing, refuse_mount_point
from vivit_jax.errors import UserError
from vivit_jax.files import at_home, check_utf8, is_url, real_path
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.resnet3d.export import export_torchvision
from vivit_jax.weights.stablehlo import export_stablehlo
from vivit_jax.weights.vit.export import export_hugging_face
from vivit_jax.weights.x3d.export import export_pytorchvideo


def export(pretrained: Pretrained, to: str, out: pathlib.Path, *, batch: int | None = None) -> str | None:
    """Writes a model in another format, whole or not at all.

    Args:
      pretrained: the model.
      to: `hugging_face`, `onnx`, `pytorchvideo`, `stablehlo` or `torchvision`.
      out: the directory to make; for `torchvision` and `pytorchvideo` a file; for `onnx` either.
      batch: the clips that an `onnx` model takes at once; None for any number.

    Returns:
      What the user should know of the export, if there is anything.

    Raises:
      UserError: if the format cannot express the model, or `out` holds something already.
    """
    if is_url(out):
        raise UserError(f"{out} is a URL: give a local path")
    out = at_home(out)
    if to == "onnx":
        check_utf8(real_path(out), "OUT")
    if batch is not None and to != "onnx":
        raise UserError(f"--batch is for onnx, and what is exported to {to} takes any number of clips: leave it out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty: give another path")
    refuse_mount_point(out)
    with appearing(out) as new:
        return FORMATS[to](pretrained, new, **({} if batch is None else {"batch": batch}))


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
