"""Shows where in a video a model finds the evidence for a class: heat over the frames of the clip in the middle of it, or of a part of it.

Example:
  vivit explain --model runs/digits/model clip.mp4 --out overlay.mp4
  vivit explain --model runs/digits/model film.mp4 --start 1:23 --window 2s --out overlay.mp4

The heat is what each token (block of pixels) adds to the class's log-odds, by integrated gradients; tokens that speak against the class get
none. The class is the most probable one unless --label names another.

Colours show how much evidence there is. The clip's evidence is how far its log-odds lie above those of a blank clip. If it multiplies the
odds of the class by ten or more (log 10 = 2.3), the hottest token has full colour. With less evidence the colours are paler in proportion,
and without any there are none. The scale beside the caption has the log-odds that one token of full colour adds.
"""

import argparse

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.atomic import write_output
from vivit_jax.commands.arguments import add_model, duration, moment, output_file, positive
from vivit_jax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit explain`."""
    add_model(parser)
    parser.add_argument("video", metavar="VIDEO", help="a video file")
    parser.add_argument("--out", type=output_file, metavar="FILE.mp4", required=True, help="the video to write")
    parser.add_argument("--start", type=moment, metavar="TIME", help="explain a part of the video that begins here, such as 1:23 or 83s")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--window", type=duration, metavar="TIME", help="how long the part is")
    length.add_argument("--end", type=duration, metavar="TIME", help="where the part ends")
    parser.add_argument("--label", help="the class to explain (default: the most probable)")
    parser.add_argument("--max_steps", type=positive, default=64, metavar="N", help="most gradients to compute (default: 64)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the overlay and says what it shows.

    Raises:
      UserError: for a video that cannot be read, a class the model does not have, or an output that is not .mp4.
    """
    out = arguments.out
    if out.suffix.lower() != ".mp4":
        raise UserError(f"--out must be an .mp4 file, got {out}")
    part = _part(arguments)
    from vivit_jax.data.times import clock
    from vivit_jax.data.video.reader import encode
    from vivit_jax.inference.explain import explain
    from vivit_jax.inference.overlay import frame_rate, overlay
    from vivit_jax.training.devices.compilation import use_usual_cache
    from vivit_jax.weights import from_pretrained

    tell_of_unused_gpu()
    use_usual_cache()
    pretrained = from_pretrained(arguments.model)
    with console.waiting(f"explaining {arguments.video}"):
        explanation = explain(pretrained, arguments.video, label=arguments.label, max_steps=arguments.max_steps, part=part)
        video = encode(overlay(arguments.video, explanation, pretrained.preprocess), frame_rate(arguments.video, explanation))
    write_output(out, video)
    relevance = explanation.relevance
    where = f"from {clock(part[0])} to {clock(part[1])}" if part else "in the clip in the middle of the video"
    console.say(f"{explanation.label}: {explanation.probability:.1%} {where}", style="bold")
    console.say(
        f"log-odds {relevance.score:+.3f}, and {relevance.blank:+.3f} for a blank clip; the tokens explain "
        f"{relevance.tokens.sum():+.3f} of the difference, {explanation.rise:+.3f}"
    )
    console.say(explanation.colours)
    console.say(f"overlay written to {out}")


def _part(arguments: argparse.Namespace) -> tuple[float, float] | None:
    """The part of the video that is asked for, in seconds; None for all of it."""
    if arguments.window is None and arguments.end is None:
        if arguments.start is not None:
            raise UserError("--start begins a part of the video: give its --window or its --end too")
        return None
    start = arguments.start or 0.0
    end = start + arguments.window if arguments.window else arguments.end
    if end <= start:
        raise UserError(f"--end must lie after --start, got {end:g} s and {start:g} s")
    return start, end
