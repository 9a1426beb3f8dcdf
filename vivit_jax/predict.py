"""Classifies video files: the most probable classes of each, from the average of several views.

Example:
  vivit predict --model runs/digits/model clip.mp4 other.mp4 --top_k 3

A file that cannot be read is named, the others are classified all the same, and the exit code is 2.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vivit_jax.arguments import Views, add_model, add_views, positive
from vivit_jax.data.sampling import views_of_video
from vivit_jax.errors import UserError
from vivit_jax.models.config import by_head
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import Pretrained, from_pretrained

VIEWS_AT_ONCE = 12

Ranking = list[tuple[str, float]]
Prediction = Ranking | dict[str, Ranking]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one video: a prediction, or the line that says why there is none."""

    video: str
    prediction: Prediction | None
    error: str | None = None


def predict(pretrained: Pretrained, video: str | os.PathLike, *, top_k: int = 5, views: Views = (4, 3)) -> Prediction:
    """The most probable classes of a video.

    Args:
      pretrained: a model with a head.
      video: a video file.
      top_k: how many classes; all of them where the model has fewer.
      views: (temporal clips, spatial crops) of the video, whose logits are averaged before they become probabilities.

    Returns:
      (label, probability) pairs, the most probable first; for a model with several heads, these by head. Of a model for several classes
      a video each probability stands by itself, else they sum to 1.

    Raises:
      UserError: for a file that cannot be read, or a model without a head.
    """
    _check_head(pretrained)
    pixels = views_of_video(video, pretrained.preprocess, views)
    return _rank(pretrained, _probabilities(pretrained)(pixels[None]), 0, top_k)


def predict_many(
    pretrained: Pretrained, videos: Sequence[str | os.PathLike], *, top_k: int = 5, views: Views = (4, 3)
) -> Iterator[Outcome]:
    """`predict` for many files in order: decoded ahead by threads, and run together through one compiled function.

    A file that cannot be read gives an outcome with its error, and does not keep the others back.

    Raises:
      UserError: for a model without a head.
    """
    _check_head(pretrained)
    batch = min(len(videos), max(1, VIEWS_AT_ONCE // (views[0] * views[1])))
    probabilities = _probabilities(pretrained)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        decode = functools.partial(_decode, preprocess=pretrained.preprocess, views=views)
        groups = [videos[start : start + batch] for start in range(0, len(videos), batch)]
        ahead = [pool.submit(decode, video) for video in groups[0]] if groups else []
        for i, group in enumerate(groups):
            decoded = [future.result() for future in ahead]
            ahead = [pool.submit(decode, video) for video in (groups[i + 1] if i + 1 < len(groups) else [])]
            yield from _outcomes(pretrained, probabilities, group, decoded, batch, top_k)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `vivit predict`."""
    add_model(parser)
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files")
    parser.add_argument("--top_k", type=positive, default=5, metavar="K", help="classes shown of each video (default 5)")
    add_views(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of tables")


def run(arguments: argparse.Namespace) -> None:
    """Prints the predictions.

    Raises:
      UserError: after all videos, if one of them could not be classified.
    """
    pretrained = from_pretrained(arguments.model)
    outcomes = []
    for outcome in predict_many(pretrained, arguments.videos, top_k=arguments.top_k, views=arguments.views):
        outcomes.append(outcome)
        if outcome.error and len(arguments.videos) > 1:
            print(f"vivit: {outcome.error}", file=sys.stderr)
        elif not outcome.error and not arguments.json:
            _print(outcome)
    if arguments.json:
        print(json.dumps([_to_dict(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed and len(outcomes) == 1:
        raise UserError(outcomes[0].error)
    if failed:
        raise UserError(f"{failed} of {len(outcomes)} videos could not be classified")


def _check_head(pretrained: Pretrained) -> None:
    if not pretrained.model.config.heads:
        raise UserError("the model has no head (num_classes is not set), so it has no classes to predict: give one that was trained")


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _forward(
    model: nn.Module, preprocess: Preprocess, activation: Callable, variables: dict, pixels: UInt8[Array, "b v t h w 3"]
) -> dict[str, Float[Array, "b classes"]]:
    """Probabilities by head; compiled once for each model and shape."""
    videos, views = pixels.shape[:2]
    logits = model.apply(variables, preprocess.normalise(pixels.reshape(videos * views, *pixels.shape[2:])))
    return {head: activation(x.reshape(videos, views, -1).astype(jnp.float32).mean(axis=1)) for head, x in by_head(logits).items()}


def _probabilities(pretrained: Pretrained) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    variables = jax.device_put(pretrained.variables)
    return lambda pixels: jax.device_get(_forward(pretrained.model, pretrained.preprocess, pretrained.activation, variables, pixels))


def _decode(video: str | os.PathLike, *, preprocess: Preprocess, views: Views) -> np.ndarray | UserError:
    try:
        return views_of_video(video, preprocess, views)
    except UserError as error:
        return error


def _outcomes(
    pretrained: Pretrained,
    probabilities: Callable[[np.ndarray], dict[str, np.ndarray]],
    videos: Sequence[str | os.PathLike],
    decoded: list[np.ndarray | UserError],
    batch: int,
    top_k: int,
) -> Iterator[Outcome]:
    readable = [pixels for pixels in decoded if not isinstance(pixels, UserError)]
    if readable:
        padding = [np.zeros_like(readable[0])] * (batch - len(readable))
        rows = probabilities(np.stack(readable + padding))
    row = 0
    for video, pixels in zip(videos, decoded, strict=True):
        if isinstance(pixels, UserError):
            yield Outcome(os.fspath(video), None, str(pixels))
            continue
        yield Outcome(os.fspath(video), _rank(pretrained, rows, row, top_k))
        row += 1


def _rank(pretrained: Pretrained, probabilities: dict[str, np.ndarray], row: int, top_k: int) -> Prediction:
    labels = pretrained.labels if isinstance(pretrained.labels, dict) else {"": pretrained.labels}
    ranked = {head: np.argsort(-values[row], kind="stable")[:top_k] for head, values in probabilities.items()}
    named = {head: [(labels[head][i], float(probabilities[head][row, i])) for i in order] for head, order in ranked.items()}
    return named.get("", named)


def _to_dict(outcome: Outcome) -> dict:
    if outcome.error:
        return {"video": outcome.video, "error": outcome.error}

    def plain(ranking: Ranking) -> list[dict]:
        return [{"label": label, "probability": probability} for label, probability in ranking]

    prediction = outcome.prediction
    rankings = {head: plain(ranking) for head, ranking in prediction.items()} if isinstance(prediction, dict) else plain(prediction)
    return {"video": outcome.video, "predictions": rankings}


def _print(outcome: Outcome) -> None:
    console = Console(highlight=False)
    console.print(escape(outcome.video), style="bold", soft_wrap=True)
    table = Table(box=None, show_header=False, padding=(0, 1))
    for head, ranking in by_head(outcome.prediction).items():
        for label, probability in ranking:
            table.add_row(*([escape(head)] if head else []), f"{probability:6.1%}", "█" * round(20 * probability), escape(label))
    console.print(table)
