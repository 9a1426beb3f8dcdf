"""Writes a model for other programs: a directory for Hugging Face, a state dict for torchvision, or a StableHLO program.

`hugging_face` is what `transformers.VivitForVideoClassification` and `VivitImageProcessor` load, with the same logits; only a Model 1 with
a cls token can be written so. `stablehlo` is the whole forward pass, from uint8 pixels to logits, for any batch size on CPU, CUDA and TPU,
with a script that runs it in JAX without this package. `torchvision` is a .pth or .safetensors file with the weights of its R3D-18, MC3-18
or R(2+1)D-18.

Example:
  vivit export --model runs/clips/model --to hugging_face exported/
  vivit export --model models/r3d_18 --to torchvision r3d_18.pth
"""

import argparse
import pathlib

from vivit_jax.commands.arguments import output
from vivit_jax.weights.export import FORMATS, export
from vivit_jax.weights.model_dir import load_model_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit export`."""
    parser.add_argument("--model", required=True, type=pathlib.Path, metavar="DIR", help="a model directory")
    parser.add_argument("--to", required=True, choices=sorted(FORMATS), help="format to write")
    parser.add_argument(
        "out", type=output, metavar="OUT", help="directory to make (for torchvision, a file); it must not exist, or be empty"
    )


def run(arguments: argparse.Namespace) -> None:
    """Exports, and says what was written."""
    export(load_model_dir(arguments.model), arguments.to, arguments.out)
    files = sorted(file.name for file in arguments.out.iterdir()) if arguments.out.is_dir() else ()
    print(f"wrote {arguments.out}{': ' if files else ''}{', '.join(files)}")
