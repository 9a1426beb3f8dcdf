"""Writes a model for other programs: Hugging Face, ONNX, pytorchvideo, torchvision, or a StableHLO program.

Formats:
  hugging_face  a Model 1 with a cls token, as `transformers` loads it, with the
                same logits
  onnx          any model, from normalised float32 pixels to an output a head;
                OUT is a file that ends in .onnx, or a directory; onnxruntime
                must give what the model gives
  stablehlo     any model, from uint8 pixels, for any batch size on CPU, CUDA
                and TPU, with a script that runs it without this package; JAX
                promises to read it for six months
  torchvision   an R3D-18, MC3-18 or R(2+1)D-18, as .pth or .safetensors
  pytorchvideo  an X3D, as .pth or .safetensors

Example:
  vivit export --model runs/clips/model --to hugging_face exported/
  vivit export --model runs/clips/model --to onnx clips.onnx
  vivit export --model models/r3d_18 --to torchvision r3d_18.pth
"""

import argparse
import pathlib

from vivit_jax import console
from vivit_jax.commands.arguments import output, positive

FORMATS = ("hugging_face", "onnx", "pytorchvideo", "stablehlo", "torchvision")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit export`."""
    parser.add_argument("--model", required=True, type=pathlib.Path, metavar="DIR", help="a model directory")
    parser.add_argument("--to", required=True, choices=FORMATS, help="format to write")
    parser.add_argument("--batch", type=positive, metavar="N", help="for onnx: clips that the model takes at once (default: any number)")
    parser.add_argument(
        "out",
        type=output,
        metavar="OUT",
        help="directory to make (for torchvision and pytorchvideo a file, for onnx either); it must not exist, or be empty",
    )


def run(arguments: argparse.Namespace) -> None:
    """Exports, and says what was written."""
    from vivit_jax.weights.export import export
    from vivit_jax.weights.model_dir import load_model_dir

    with console.waiting(f"writing {arguments.out}"):
        told = export(load_model_dir(arguments.model), arguments.to, arguments.out, batch=arguments.batch)
    files = sorted(file.name for file in arguments.out.iterdir()) if arguments.out.is_dir() else ()
    print(f"wrote {arguments.out}{': ' if files else ''}{', '.join(files)}")
    if told:
        print(told)
