"""Shows where in a video a model finds the evidence for a class: heat over the frames of the clip in the video's middle.

Example:
  vivit explain --model runs/digits/model clip.mp4 --out overlay.mp4

The heat is what each token (block of pixels) adds to the class's log-odds, by integrated gradients; tokens that speak against the class get
none. The class is the most probable one unless --label names another.
"""

import argparse
import pathlib

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_model, positive
from vivit_jax.errors import UserError
from vivit_jax.files import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit explain`."""
    add_model(parser)
    parser.add_argument("video", metavar="VIDEO", help="a video file")
    parser.add_argument("--out", metavar="FILE.mp4", required=True, help="the video to write")
    parser.add_argument("--label", help="the class to explain (default: the most probable)")
    parser.add_argument("--max_steps", type=positive, default=64, metavar="N", help="most gradients to compute (default 64)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the overlay and says what it shows.

    Raises:
      UserError: for a video that cannot be read, a class the model does not have, or an output that is not .mp4.
    """
    from vivit_jax.data.video.reader import encode, probe
    from vivit_jax.inference.explain import explain, overlay
    from vivit_jax.weights import from_pretrained

    out = pathlib.Path(arguments.out)
    if out.suffix.lower() != ".mp4":
        raise UserError(f"--out must be an .mp4 file, got {out}")
    tell_of_unused_gpu()
    pretrained = from_pretrained(arguments.model)
    explanation = explain(pretrained, arguments.video, label=arguments.label, max_steps=arguments.max_steps)
    video = encode(overlay(arguments.video, explanation, pretrained.preprocess), probe(arguments.video).fps)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, video)
    relevance = explanation.relevance
    console.say(f"{explanation.label}: {explanation.probability:.1%}", style="bold")
    console.say(
        f"log-odds {relevance.score:+.3f}, of a blank clip {relevance.blank:+.3f}; the tokens explain "
        f"{relevance.tokens.sum():+.3f} of the {relevance.score - relevance.blank:+.3f} between them"
    )
    console.say(f"overlay written to {out}")
