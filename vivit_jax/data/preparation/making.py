"""Makes the videos of a data set in worker processes of this machine; what an interrupted preparation has made comes from its journal."""

import contextlib
import functools
import pathlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from vivit_jax import console
from vivit_jax.data.layouts import Annotations, Clip
from vivit_jax.data.preparation import builder
from vivit_jax.data.preparation.builder import Contents, example
from vivit_jax.data.preparation.journal import Journal, key_of
from vivit_jax.data.preparation.outcome import Outcome
from vivit_jax.data.preparation.place import DONE
from vivit_jax.data.preparation.transcode import Transcoded, grouped_by_video, transcode_together
from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.workers import Failure, map_in_order

Job = list[Clip]


def write(
    name: str,
    folder: pathlib.Path,
    description: str,
    outcome: Outcome,
    short_side: int,
    workers: int,
    *,
    progress: bool = False,
) -> pathlib.Path:
    """Makes a data set's videos and writes them, as `builder.write` does; tells the outcome of each clip as it is made.

    Args:
      name: the data set's name.
      folder: the folder to write it to, which also keeps its journal.
      description: a sentence on where the videos came from.
      outcome: told of each clip, in order.
      short_side: pixels; smaller videos keep their size.
      workers: processes that transcode.
      progress: whether a bar is shown on standard error, where that is a terminal.

    Raises:
      UserError: if more clips were refused than are tolerated.
    """
    annotations = outcome.annotations
    with Journal(folder / DONE, short_side) as journal, _progress(name, len(annotations.clips), shown=progress) as advance:
        results = make_or_resume(jobs_of(annotations), short_side, workers, journal)
        examples = _BySplit(_stored(results, outcome, advance))
        path = builder.write(name, folder, Contents.of(annotations, examples, description))
        outcome.summary.resumed = journal.reused
    return path


def jobs_of(annotations: Annotations, split: str | None = None) -> list[Job]:
    """Groups the clips of one split, or of all, split by split, into jobs: each job is a list of clips that one worker makes together."""
    clips = [clip for clip in annotations.clips if split in (None, clip.split)]
    return list(grouped_by_video(sorted(clips, key=lambda clip: annotations.splits.index(clip.split))))


def make_videos(jobs: Iterable[Job], short_side: int, workers: int) -> Iterator[tuple[Job, list[Transcoded | Failure]]]:
    """Makes jobs in worker processes, drawn as they are needed; yields each with the videos of its clips, in order."""
    work = functools.partial(transcode_together, short_side=short_side)
    for job, results in map_in_order(work, jobs, workers=workers, seconds=LIMITS.seconds + 60, memory=LIMITS.memory):
        yield job, [results] * len(job) if isinstance(results, Failure) else results


def make_or_resume(
    jobs: Sequence[Job], short_side: int, workers: int, journal: Journal
) -> Iterator[tuple[Job, list[Transcoded | Failure]]]:
    """Yields each job in order with its videos: from the journal if it has them, else made."""
    found, before = [job in journal for job in jobs], [key_of(job) for job in jobs]
    missing = [job for job, known in zip(jobs, found, strict=True) if not known]
    with contextlib.closing(make_videos(missing, short_side, min(workers, len(missing)))) as new:
        for job, known, key in zip(jobs, found, before, strict=True):
            videos = journal.get(job) if known else None
            if videos is None:
                ((_, videos),) = make_videos([job], short_side, 1) if known else [next(new)]  # what was found may be damaged
                if key_of(job) == key:  # else a file changed meanwhile, and the videos are perhaps of what it held before
                    journal.add(job, videos)
            yield job, videos


def _stored(
    results: Iterable[tuple[Job, list[Transcoded | Failure]]], outcome: Outcome, advance: Callable[[], None]
) -> Iterator[tuple[Clip, Transcoded]]:
    """The clips that can be stored. Past the tolerance no more are, but the rest are still tried, so that one report names all refused."""
    for clip, video in ((clip, video) for job, videos in results for clip, video in zip(job, videos, strict=True)):
        advance()
        if isinstance(video, Failure):
            outcome.refused(clip, video)
            if outcome.hopeless:
                break
        elif outcome.tolerated:
            outcome.stored(clip, video.facts)
            yield clip, video
    outcome.check()


class _BySplit:
    """Hands one stream of clips, sorted by split, to a builder that asks for one split after the other."""

    def __init__(self, results: Iterator[tuple[Clip, Transcoded]]) -> None:
        self._results = results
        self._next = None

    def __call__(self, split: str) -> Iterator[tuple[str, dict]]:
        count = 0
        while (pair := self._next or next(self._results, None)) is not None and pair[0].split == split:
            self._next = None
            count += 1
            yield pair[0].name, example(*pair)
        self._next = pair
        if not count:  # the stream ends by saying why
            deque(self._results, maxlen=0)


@contextlib.contextmanager
def _progress(name: str, total: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar, where a person can see it, and the function that advances it by one."""
    with console.progress_bar(shown=shown, stderr=True) as bar:
        task = bar.add_task(f"preparing {name}", total=total, note="")
        yield lambda: bar.advance(task)
