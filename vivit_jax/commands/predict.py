"""Classifies video files: the most probable classes of each, from the average of several views.

Example:
  vivit predict --model runs/digits/model clip.mp4 other.mp4 --top_k 3

If a file cannot be read, the command names it, still classifies the others, and exits with code 2. Files are decoded in separate processes,
so that one that takes too long or too much memory can be stopped.
"""

import argparse
import json
import sys
import typing

from rich.markup import escape
from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_model, add_views, positive
from vivit_jax.errors import UserError, in_one_line, printable
from vivit_jax.heads import by_head

if typing.TYPE_CHECKING:
    from vivit_jax.inference.predict import Outcome, Ranking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit predict`."""
    add_model(parser)
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files")
    parser.add_argument("--top_k", type=positive, default=5, metavar="K", help="classes to show for each video (default 5)")
    add_views(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of tables")


def run(arguments: argparse.Namespace) -> None:
    """Prints the predictions.

    Raises:
      UserError: after all videos, if one of them could not be classified.
    """
    from vivit_jax.inference.predict import predict_many
    from vivit_jax.weights import from_pretrained

    tell_of_unused_gpu()
    pretrained = from_pretrained(arguments.model)
    outcomes = []
    for outcome in predict_many(pretrained, arguments.videos, top_k=arguments.top_k, views=arguments.views):
        outcomes.append(outcome)
        if outcome.error and len(arguments.videos) > 1:
            print(f"vivit: {in_one_line(outcome.error)}", file=sys.stderr)
        elif not outcome.error and not arguments.json:
            _print(outcome)
    if arguments.json:
        print(json.dumps([_to_dict(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed and len(outcomes) == 1:
        raise UserError(outcomes[0].error)
    if failed:
        raise UserError(f"{failed} of {len(outcomes)} videos could not be classified")


def _to_dict(outcome: "Outcome") -> dict:
    if outcome.error:
        return {"video": outcome.video, "error": outcome.error}

    def plain(ranking: "Ranking") -> list[dict]:
        return [{"label": label, "probability": probability} for label, probability in ranking]

    prediction = outcome.prediction
    rankings = {head: plain(ranking) for head, ranking in prediction.items()} if isinstance(prediction, dict) else plain(prediction)
    return {"video": outcome.video, "predictions": rankings}


def _print(outcome: "Outcome") -> None:
    console.say(outcome.video, style="bold")
    full = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    table = Table(box=None, show_header=False, padding=(0, 1))
    for head, ranking in by_head(outcome.prediction).items():
        for label, probability in ranking:
            shown = [escape(printable(name)) for name in ([head] if head else [])]
            table.add_row(*shown, f"{probability:6.1%}", full * round(20 * probability), escape(printable(label)))
    console.show(table)
