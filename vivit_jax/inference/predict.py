"""The most probable classes of videos, from the average of several views."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from vivit_jax.errors import UserError, check_whole
from vivit_jax.heads import by_head
from vivit_jax.inference.finite import not_finite
from vivit_jax.inference.outputs import Decode, Path, check_head, logits_of_views, outputs_of
from vivit_jax.inference.over_views import average_of
from vivit_jax.inference.views import decode_group, views_of_frames
from vivit_jax.preprocess import Views
from vivit_jax.training import evaluation
from vivit_jax.weights import Pretrained

Ranking = list[tuple[str, float]]
Prediction = Ranking | dict[str, Ranking]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result for one video: a prediction, or one line that says why there is none."""

    video: str
    prediction: Prediction | None
    error: str | None = None


def predict(
    pretrained: Pretrained, video: Path | bytes | UInt8[np.ndarray, "t h w 3"] | Sequence[Path], *, top_k: int = 5, views: Views = (4, 3)
) -> Prediction | list[Prediction]:
    """The predictions of `Classifier.predict`, whose docstring explains arguments and errors, for any model with a head."""
    check_head(pretrained)
    check_whole("top_k", top_k)
    if isinstance(video, list | tuple):
        return [_prediction_of(outcome) for outcome in predict_many(pretrained, [path_of(one) for one in video], top_k=top_k, views=views)]
    if isinstance(video, np.ndarray):
        return predict_decoded(pretrained, functools.partial(views_of_frames, video), top_k=top_k, views=views)
    source = video if isinstance(video, bytes) else path_of(video)
    return predict_decoded(pretrained, functools.partial(decode_group, source), top_k=top_k, views=views)


def predict_decoded(pretrained: Pretrained, decode: Decode, *, top_k: int, views: Views) -> Prediction:
    """`predict` for a video whose views `decode` gives.

    Raises:
      UserError: for a model without a head, and whatever `decode` raises.
    """
    logits = average_of(pretrained)(list(logits_of_views(pretrained, decode, views)))
    return ranked(pretrained, probabilities_of(pretrained, logits), top_k)


def predict_many(pretrained: Pretrained, videos: Sequence[Path], *, top_k: int = 5, views: Views = (4, 3)) -> Iterator[Outcome]:
    """`predict` for many files in order, read and classified as `outputs_of` says; a file that cannot be read gives its error.

    Raises:
      UserError: for a model without a head.
    """
    check_head(pretrained)
    for output in outputs_of(pretrained, videos, views=views):
        if output.error:
            yield Outcome(output.video, None, output.error)
            continue
        try:
            prediction = ranked(pretrained, probabilities_of(pretrained, output.values, output.video), top_k)
        except UserError as error:
            yield Outcome(output.video, None, str(error))
        else:
            yield Outcome(output.video, prediction)


def plain(prediction: Prediction) -> list[dict] | dict[str, list[dict]]:
    """Plain values for JSON: a list of `{"label": ..., "probability": ...}`, the most probable first; for several heads, these by head."""
    named = {head: [{"label": label, "probability": p} for label, p in ranking] for head, ranking in by_head(prediction).items()}
    return named.get("", named)


def path_of(video: object) -> str:
    """A video's path as text; raises `UserError` for what is none."""
    if not isinstance(video, str | os.PathLike):
        raise UserError(f"a video is a path, a list of paths, or frames as uint8 (t, h, w, 3), got {type(video).__name__}")
    return os.fspath(video)


def _prediction_of(outcome: Outcome) -> Prediction:
    if outcome.error:
        raise UserError(outcome.error)
    return outcome.prediction


def probabilities_of(
    pretrained: Pretrained, logits: Mapping[str, Float[np.ndarray, " classes"]], video: str | None = None
) -> dict[str, Float[np.ndarray, " classes"]]:
    """Probabilities of the classes by head, in float64, which tells those near 1 apart as an evaluation does.

    Raises:
      UserError: naming the video, where it is given, if its logits are not finite.
    """
    if not all(np.isfinite(of_head).all() for of_head in logits.values()):
        raise UserError(not_finite(video))
    rows = evaluation.probabilities_of({head: x[None] for head, x in logits.items()}, multi_label=pretrained.multi_label)
    return {head: of_head[0] for head, of_head in rows.items()}


def ranked(pretrained: Pretrained, probabilities: dict[str, Float[np.ndarray, " classes"]], top_k: int) -> Prediction:
    """The most probable classes by name, the most probable first; for several heads, these by head."""
    named = {}
    for head, names in by_head(pretrained.labels).items():
        order = np.argsort(-probabilities[head], kind="stable")[:top_k]
        named[head] = [(names[i], float(probabilities[head][i])) for i in order]
    return named.get("", named)
