"""Scores many videos one after the other, each in windows along it or as a whole; one that cannot be read gives its error."""

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vivit_jax.data.guard import guarded_map
from vivit_jax.data.video.reader import probe
from vivit_jax.errors import UserError
from vivit_jax.inference.outputs import check_head, outputs_of
from vivit_jax.inference.predict import probabilities_of
from vivit_jax.inference.smoothing import smoothed
from vivit_jax.inference.windows import WindowScorer, WindowScores
from vivit_jax.preprocess import Views
from vivit_jax.weights import Pretrained


@dataclasses.dataclass(frozen=True)
class Part:
    """The scores of a video since its last part.

    Attributes:
      video: the file.
      scores: those of the next windows.
      is_last: whether the video has no more parts.
      remark: one line about the video; only in the last part.
      error: one line that says why it cannot be read, or be read on; only in the last part.
    """

    video: str
    scores: Sequence[WindowScores] = ()
    is_last: bool = False
    remark: str | None = None
    error: str | None = None


def score_along(
    scorer: WindowScorer, videos: Iterable[str], *, smooth: float = 0.0, first: Mapping[str, int] | None = None
) -> Iterator[Part]:
    """Scores windows along each video.

    Args:
      scorer: says which windows.
      videos: files, or `-`.
      smooth: seconds to average over: a window takes the mean of all windows whose middle is at most half of them from its own.
      first: the number of the first window to give of a video; 0 where it is not named.

    Yields:
      For each video its parts in order, the last with the error if it cannot be read to its end.
    """
    for video in videos:
        begin = (first or {}).get(video, 0)
        reach = math.ceil(smooth / 2 / float(scorer.plan.every)) if smooth else 0
        batches = scorer.batches(video, max(0, begin - reach))
        try:
            with contextlib.closing(batches):
                for scores in smoothed(batches, smooth) if smooth else batches:
                    yield Part(video, [one for one in scores if one.number >= begin])
        except UserError as error:
            yield Part(video, is_last=True, error=str(error))
        else:
            yield Part(video, is_last=True, remark=scorer.remark)


def score_whole(pretrained: Pretrained, videos: Sequence[str], *, views: Views) -> Iterator[Part]:
    """Scores each video as a whole, from the mean of its views: one part a video, whose scores begin at 0 and end with it.

    Raises:
      UserError: for a model without a head.
    """
    check_head(pretrained)
    lengths = guarded_map(_seconds, videos, workers=1)
    for output, (_, seconds) in zip(outputs_of(pretrained, videos, views=views), lengths, strict=True):
        try:
            if output.error or isinstance(seconds, UserError):
                raise UserError(output.error or seconds)
            scores = WindowScores(0, 0.0, seconds, probabilities_of(pretrained, output.values, output.video))
            yield Part(output.video, [scores], is_last=True)
        except UserError as error:
            yield Part(output.video, is_last=True, error=str(error))


def _seconds(video: str) -> float:
    return probe(video).seconds
