"""Scores a video of any length in one window of time after another.

A window is scored as a video that holds nothing else would be. The video is decoded once, in a process of its own, and memory does not grow
with its length.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from vivit_jax.data.guard import guarded_parts, guarded_streams
from vivit_jax.data.video.streaming import STANDARD_INPUT
from vivit_jax.data.windows import DIGITS, Window, WindowPlan, cut
from vivit_jax.data.workers import Streams
from vivit_jax.errors import UserError, check_whole
from vivit_jax.inference.outputs import VIEWS_AT_ONCE, Path, ViewLogits, check_head
from vivit_jax.inference.over_views import average_of
from vivit_jax.inference.predict import Prediction, path_of, probabilities_of, ranked
from vivit_jax.preprocess import Views
from vivit_jax.weights import Pretrained


@dataclasses.dataclass(frozen=True)
class WindowScores:
    """The scores of a window.

    Attributes:
      number: the window's place in the video, from 0.
      start: seconds from the video's first frame.
      end: seconds from the video's first frame.
      probabilities: the classes' probabilities, float64 (classes,) by head; one head has the empty name.
    """

    number: int
    start: float
    end: float
    probabilities: dict[str, Float[np.ndarray, " classes"]]


def predict_windows(
    pretrained: Pretrained,
    video: Path,
    window: float = 2.0,
    every: float | None = None,
    *,
    top_k: int = 5,
    views: Views | None = None,
) -> Iterator[tuple[float, float, Prediction]]:
    """The windows of `Classifier.predict_windows`, whose docstring explains arguments and errors, for any model with a head."""
    check_whole("top_k", top_k)
    video = path_of(video)
    with WindowScorer(pretrained, window, every, views=views, standard_input=video == STANDARD_INPUT) as scorer:
        for scores in scorer.windows(video):
            yield scores.start, scores.end, ranked(pretrained, scores.probabilities, top_k)


class WindowScorer:
    """Scores the windows of one video after another with one compiled function and one decoding process. A context manager.

    Attributes:
      plan: how videos are cut.
      remark: one line about the video that was scored last, if there is something to say of it.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        window: float | Fraction,
        every: float | Fraction | None = None,
        *,
        views: Views | None = None,
        standard_input: bool = False,
    ) -> None:
        """Arguments are those of `Classifier.predict_windows`; `standard_input` says whether `-` will be among the videos."""
        check_head(pretrained)
        window = exact(window)
        self.plan = WindowPlan(window, window if every is None else exact(every), pretrained.preprocess, views, VIEWS_AT_ONCE)
        self.remark: str | None = None
        self._pretrained = pretrained
        self._logits = ViewLogits(pretrained, self.plan.at_once)
        self._streams: Streams = guarded_streams(functools.partial(cut, plan=self.plan), standard_input=standard_input)

    def __enter__(self) -> "WindowScorer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._streams.__exit__(*exception)

    def windows(self, video: Path, first: int = 0) -> Iterator[WindowScores]:
        """The scores of a video's windows from window `first` on, each as soon as those decoded together with it are scored.

        Raises:
          UserError: naming the video, if it cannot be read or the model gives NaN for it.
        """
        for batch in self.batches(video, first):
            yield from batch

    def batches(self, video: Path, first: int = 0) -> Iterator[list[WindowScores]]:
        """The same in lists, one for the windows that are scored together."""
        name, self.remark = os.fspath(video), None
        parts = guarded_parts(self._streams, (name, first), name)
        with contextlib.closing(parts):
            for windows in parts:
                if isinstance(windows, str):
                    self.remark = windows
                elif windows:
                    yield self._scored(name, windows)

    def _scored(self, video: str, windows: list[Window]) -> list[WindowScores]:
        scored, average = [], average_of(self._pretrained)
        for window, logits in zip(windows, self._logits([window.views for window in windows]), strict=True):
            means = average([logits])
            scored.append(WindowScores(window.number, window.start, window.end, probabilities_of(self._pretrained, means, video)))
        return scored


def exact(seconds: float | Fraction) -> Fraction:
    """A duration in seconds without the error of its binary digits: 0.1 is a tenth.

    Raises:
      UserError: for what is no finite number.
    """
    try:
        return Fraction(seconds).limit_denominator(DIGITS)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"a duration must be a number of seconds, got {seconds!r}") from None
