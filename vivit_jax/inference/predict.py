"""The most probable classes of videos, from the average of several views.

Files are decoded in separate processes, so that one that takes too long or too much memory can be stopped.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.workers import Failure, available_cpus, map_in_order
from vivit_jax.errors import UserError
from vivit_jax.heads import by_head
from vivit_jax.inference.views import decode_group, decode_task, groups, views_of_frames
from vivit_jax.preprocess import Preprocess, Views
from vivit_jax.training.averaging import averaged
from vivit_jax.weights import Pretrained
from vivit_jax.weights.model_json import LOGITS

VIEWS_AT_ONCE = 12
SECONDS_A_GROUP = 120.0  # the longest a group of views may take to decode; a decoder that takes longer is stopped

Path = str | os.PathLike
Ranking = list[tuple[str, float]]
Prediction = Ranking | dict[str, Ranking]

# From the numbers of some of a video's views, how it is preprocessed, and (temporal, spatial) views, to uint8 (v, t, h, w, 3).
Decode = Callable[[range, Preprocess, Views], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result for one video: a prediction, or one line that says why there is none."""

    video: str
    prediction: Prediction | None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Output:
    """What a model gives for one video: values by head (features under the empty name), or one line that says why there are none."""

    video: str
    values: dict[str, np.ndarray] | None
    error: str | None = None


def predict(
    pretrained: Pretrained, video: Path | bytes | UInt8[np.ndarray, "t h w 3"] | Sequence[Path], *, top_k: int = 5, views: Views = (4, 3)
) -> Prediction | list[Prediction]:
    """The most probable classes of a video, or of each of several.

    Args:
      pretrained: a model with a head.
      video: a video file, or its bytes; or frames, uint8 (t, h, w, 3), RGB; or a list of files.
      top_k: how many classes; all of them if the model has fewer.
      views: (temporal clips, spatial crops) of the video, whose logits are averaged before they become probabilities, or whose
        probabilities are, as the model says.

    Returns:
      (label, probability) pairs, the most probable first; for a model with several heads, these by head. The probabilities of all classes
      sum to 1, unless the model allows several classes for a video. For a list of files, a list of these.

    Raises:
      UserError: for a file that cannot be read, an argument that is no video, or a model without a head.
    """
    check_head(pretrained)
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
    total = _gatherer(pretrained)
    for logits in logits_of_views(pretrained, decode, views):
        total.add(logits)
    return _rank(pretrained, total.gathered(), top_k)


def logits_of_views(pretrained: Pretrained, decode: Decode, views: Views) -> Iterator[dict[str, Float[np.ndarray, "v classes"]]]:
    """The logits of a video's views by head, a group of at most `VIEWS_AT_ONCE` at a time, in order.

    Raises:
      UserError: for a model without a head, and whatever `decode` raises.
    """
    check_head(pretrained)
    logits = _Logits(pretrained, 1, views)
    for group in groups(views, VIEWS_AT_ONCE):
        yield logits([decode(group, pretrained.preprocess, views)])[0]


def predict_many(pretrained: Pretrained, videos: Sequence[Path], *, top_k: int = 5, views: Views = (4, 3)) -> Iterator[Outcome]:
    """`predict` for many files in order: other processes decode ahead, and one compiled function classifies several files at once.

    A file that cannot be read, or whose decoder is stopped, gives an outcome with its error, and does not hold up the others. Memory does
    not grow with the number of files or views.

    Raises:
      UserError: for a model without a head.
    """
    check_head(pretrained)
    for output in outputs_of(pretrained, videos, views=views):
        yield Outcome(output.video, None, output.error) if output.error else _ranked(pretrained, output.video, output.values, top_k)


def outputs_of(pretrained: Pretrained, videos: Sequence[Path], *, views: Views, per_view: bool = False) -> Iterator[Output]:
    """A model's outputs for many files in order: the mean over the views, (d,), or each view's, (v, d). See `predict_many`."""
    gather = _Each if per_view else functools.partial(_gatherer, pretrained)
    parts = groups(views, VIEWS_AT_ONCE)
    together = min(len(videos), max(1, VIEWS_AT_ONCE // (views[0] * views[1])))
    logits = _Logits(pretrained, together, views)
    failed: set[int] = set()
    tasks = ((i, os.fspath(video), group) for i, video in enumerate(videos) for group in parts if i not in failed)
    decode = functools.partial(decode_task, preprocess=pretrained.preprocess, views=views)
    workers = max(1, min(available_cpus(), len(videos) * len(parts)))
    decoded = map_in_order(decode, tasks, workers=workers, seconds=SECONDS_A_GROUP, memory=LIMITS.memory)
    waiting: list[tuple[str, np.ndarray | Failure]] = []
    for video, group in itertools.groupby(decoded, key=lambda result: result[0][:2]):
        if len(parts) == 1:
            waiting.append((video[1], next(group)[1]))
            if len(waiting) == together:
                yield from _outputs(logits, waiting, gather)
                waiting = []
        else:
            yield _output_of_groups(logits, video, (pixels for _, pixels in group), failed, gather)
    yield from _outputs(logits, waiting, gather)


def plain(prediction: Prediction) -> list[dict] | dict[str, list[dict]]:
    """Plain values for JSON: a list of `{"label": ..., "probability": ...}`, the most probable first; for several heads, these by head."""
    named = {head: [{"label": label, "probability": p} for label, p in ranking] for head, ranking in by_head(prediction).items()}
    return named.get("", named)


def check_head(pretrained: Pretrained) -> None:
    """Raises `UserError` for a model that has no classes to predict."""
    if not pretrained.model.config.heads:
        raise UserError("the model has no head (num_classes is not set), so it has no classes to predict: give a model with a trained head")


def path_of(video: object) -> str:
    """A video's path as text; raises `UserError` for what is none."""
    if not isinstance(video, str | os.PathLike):
        raise UserError(f"a video is a path, a list of paths, or frames as uint8 (t, h, w, 3), got {type(video).__name__}")
    return os.fspath(video)


@functools.partial(jax.jit, static_argnums=(0, 1))
def forward(
    model: nn.Module, preprocess: Preprocess, variables: dict, pixels: UInt8[Array, "n t h w 3"]
) -> dict[str, Float[Array, "n classes"]]:
    """Logits by head; compiled once for each model and shape."""
    logits = model.apply(variables, preprocess.normalise(pixels))
    return {head: x.astype(jnp.float32) for head, x in by_head(logits).items()}


class _Logits:
    """Logits of the views of up to `together` videos at once, always through the same compiled function."""

    def __init__(self, pretrained: Pretrained, together: int, views: Views) -> None:
        self._pretrained = pretrained
        self._variables = jax.device_put(pretrained.variables)
        self._rows = together * min(views[0] * views[1], VIEWS_AT_ONCE)

    def __call__(self, videos: Sequence[UInt8[np.ndarray, "v t h w 3"]]) -> list[dict[str, Float[np.ndarray, "v classes"]]]:
        """The logits of each video, by head."""
        pixels = np.concatenate(videos)
        padding = np.zeros((self._rows - len(pixels), *pixels.shape[1:]), np.uint8)
        logits = forward(self._pretrained.model, self._pretrained.preprocess, self._variables, np.concatenate([pixels, padding]))
        rows = jax.device_get(logits)
        ends = np.cumsum([len(video) for video in videos])
        return [{head: x[end - len(video) : end] for head, x in rows.items()} for end, video in zip(ends, videos, strict=True)]


class _Mean:
    """The mean logits of all views, where views come in groups."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._count = 0

    def add(self, logits: dict[str, Float[np.ndarray, "v classes"]]) -> None:
        for head, x in logits.items():
            self._sums[head] = self._sums.get(head, 0) + x.sum(axis=0, dtype=np.float64)
            self._count += len(x) if head == next(iter(logits)) else 0

    def gathered(self) -> dict[str, Float[np.ndarray, " classes"]]:
        return {head: total / self._count for head, total in self._sums.items()}


class _Each:
    """The logits of every view, where views come in groups."""

    def __init__(self) -> None:
        self._groups: list[dict[str, np.ndarray]] = []

    def add(self, logits: dict[str, Float[np.ndarray, "v classes"]]) -> None:
        self._groups.append(logits)

    def gathered(self) -> dict[str, Float[np.ndarray, "v classes"]]:
        return {head: np.concatenate([group[head] for group in self._groups]) for head in self._groups[0]}


class _MeanProbabilities(_Each):
    """The logits that give the mean probabilities of all views, where views come in groups."""

    def __init__(self, *, multi_label: bool) -> None:
        super().__init__()
        self._multi_label = multi_label

    def gathered(self) -> dict[str, Float[np.ndarray, " classes"]]:
        over_views = functools.partial(averaged, average="probabilities", multi_label=self._multi_label)
        return {head: np.asarray(over_views(jnp.asarray(x)[:, None]))[0] for head, x in super().gathered().items()}


Gather = Callable[[], _Mean | _Each]


def _gatherer(pretrained: Pretrained) -> _Mean | _Each:
    """Averages over views what the model says; features of a model without a head are averaged themselves."""
    if pretrained.average == LOGITS or not pretrained.model.config.heads:
        return _Mean()
    return _MeanProbabilities(multi_label=pretrained.multi_label)


def mean_over_views(pretrained: Pretrained, logits: dict[str, Float[np.ndarray, "v classes"]]) -> dict[str, Float[np.ndarray, " classes"]]:
    """The logits of a video or window from those of its views: their mean or, as the model says, what gives the mean probabilities."""
    total = _gatherer(pretrained)
    total.add(logits)
    return total.gathered()


def _output_of_groups(
    logits: _Logits, video: tuple[int, str], decoded: Iterator[np.ndarray | Failure], failed: set[int], gather: Gather
) -> Output:
    """The output for a video whose views come in several groups. After a group that fails, no more of its groups are decoded."""
    number, path = video
    total, error = gather(), None
    for pixels in decoded:
        if error is None and isinstance(pixels, Failure):
            error = _reason(path, pixels)
            failed.add(number)
        elif error is None:
            total.add(logits([pixels])[0])
    return Output(path, None, error) if error else Output(path, total.gathered())


def _outputs(logits: _Logits, decoded: Sequence[tuple[str, np.ndarray | Failure]], gather: Gather) -> Iterator[Output]:
    readable = [pixels for _, pixels in decoded if not isinstance(pixels, Failure)]
    rows = iter(logits(readable) if readable else [])
    for path, pixels in decoded:
        if isinstance(pixels, Failure):
            yield Output(path, None, _reason(path, pixels))
            continue
        total = gather()
        total.add(next(rows))
        yield Output(path, total.gathered())


def _reason(path: str, failure: Failure) -> str:
    return failure.reason if path in failure.reason else f"{path}: {failure.reason}"


def _prediction_of(outcome: Outcome) -> Prediction:
    if outcome.error:
        raise UserError(outcome.error)
    return outcome.prediction


def _ranked(pretrained: Pretrained, path: str, logits: dict[str, np.ndarray], top_k: int) -> Outcome:
    try:
        return Outcome(path, _rank(pretrained, logits, top_k))
    except UserError as error:
        return Outcome(path, None, f"{path}: {error}")


def _rank(pretrained: Pretrained, logits: dict[str, Float[np.ndarray, " classes"]], top_k: int) -> Prediction:
    return ranked(pretrained, probabilities_of(pretrained, logits), top_k)


def probabilities_of(
    pretrained: Pretrained, logits: dict[str, Float[np.ndarray, " classes"]], video: str | None = None
) -> dict[str, Float[np.ndarray, " classes"]]:
    """Probabilities of the classes by head, or an error about the `video` (`this video`) whose logits are not finite."""
    probabilities = {head: np.asarray(pretrained.activation(jnp.asarray(x, jnp.float32))) for head, x in logits.items()}
    if not all(np.isfinite(of_head).all() for of_head in probabilities.values()):
        where = f"{video}: " if video else ""
        raise UserError(f"{where}the model gives NaN or infinity for this video: its weights or its dtype are at fault")
    return probabilities


def ranked(pretrained: Pretrained, probabilities: dict[str, Float[np.ndarray, " classes"]], top_k: int) -> Prediction:
    """The most probable classes by name, the most probable first; for several heads, these by head."""
    named = {}
    for head, names in by_head(pretrained.labels).items():
        order = np.argsort(-probabilities[head], kind="stable")[:top_k]
        named[head] = [(names[i], float(probabilities[head][i])) for i in order]
    return named.get("", named)
