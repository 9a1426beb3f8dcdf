"""Makes a data set of videos: reads a layout, transcodes every clip, and writes a tfds data set that training reads with random access."""

import contextlib
import csv
import dataclasses
import functools
import io
import pathlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from vivit_jax import console
from vivit_jax.data.layouts import Annotations, Clip, Reading, check_layout, read_layout
from vivit_jax.data.layouts.base import class_names
from vivit_jax.data.layouts.splitting import Shares
from vivit_jax.data.preparation.journal import Journal
from vivit_jax.data.preparation.listing import Listing
from vivit_jax.data.preparation.place import (
    CLIPS,
    DONE,
    MISSING,
    REPORT,
    check_apart,
    check_free,
    local_folder,
    move_into_place,
    recover,
    staging,
)
from vivit_jax.data.preparation.transcode import Facts, Transcoded, of_one_video, transcode_together
from vivit_jax.data.video.container import LIMITS
from vivit_jax.data.workers import Failure, available_cpus, map_in_order
from vivit_jax.errors import UserError
from vivit_jax.files import write_atomically, write_json

SHORT_SIDE = 256
GIVE_UP_AFTER = 100  # the rest is not tried once so many videos beyond the tolerance were refused
SHOWN = 20  # names printed from a long list; the report has them all


class RefusedError(UserError):
    """More videos were refused than tolerated.

    Attributes:
      rows: (split, name, reason) of each.
    """

    def __init__(self, rows: Sequence[tuple[str, str, str]], clips: int, allowed: int) -> None:
        self.rows = tuple(rows)
        listed = "; ".join(f"{split}: {name}: {reason}" for split, name, reason in self.rows[:SHOWN])
        more = f"; and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        super().__init__(
            f"{len(rows)} of {clips} videos cannot be stored, {allowed} tolerated "
            f"(mend them, or leave them out by --tolerate N): {listed}{more}"
        )


class EmptySplitError(UserError):
    """No video of a split could be stored, whatever is tolerated."""


@dataclasses.dataclass
class Summary:
    """What a preparation did.

    Attributes:
      path: the folder of the data set.
      counts: stored clips by split and class. With several heads the key is the classes of all heads, joined by ` / `; a clip with several
        classes counts for each.
      stored: stored clips by split.
      seconds_of_video: duration of the stored clips together.
      bytes: size of the stored videos together.
      refused: clips left out, as (split, name, reason).
      changed: clips whose form was changed, as (split, name, what was done).
      remarks: what the layout remarked, one line each.
      resumed: clips that an earlier, interrupted preparation had finished.
      seconds: wall-clock time taken.
    """

    path: pathlib.Path
    counts: dict[str, Counter] = dataclasses.field(default_factory=dict)
    stored: Counter = dataclasses.field(default_factory=Counter)
    seconds_of_video: float = 0.0
    bytes: int = 0
    refused: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    changed: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    remarks: tuple[str, ...] = ()
    resumed: int = 0
    seconds: float = 0.0

    @property
    def clips(self) -> int:
        """Stored clips."""
        return self.stored.total()

    def add(self, clip: Clip, stored: Facts) -> None:
        """Counts a stored clip."""
        label = " / ".join(clip.label.values()) if isinstance(clip.label, Mapping) else clip.label
        self.counts.setdefault(clip.split, Counter()).update(class_names(label))
        self.stored[clip.split] += 1
        self.seconds_of_video += stored.duration
        self.bytes += stored.bytes
        if stored.changes:
            self.changed.append((clip.split, clip.name, ", ".join(stored.changes)))


def prepare(
    layout: str,
    source: str | pathlib.Path | None = None,
    *,
    name: str,
    data_dir: str | pathlib.Path,
    short_side: int = SHORT_SIDE,
    workers: int | None = None,
    tolerate: float = 0,
    overwrite: bool = False,
    reading: Reading | None = None,
    shares: Shares | None = None,
    progress: bool = False,
) -> Summary:
    """Makes the data set `data_dir/name` of the labelled videos in `source`.

    Every bit of the result is a function of the source, `short_side` and the versions of the libraries, whatever the number of workers.
    It appears whole or not at all: it is made in a hidden folder beside it. If this call is killed, the next one of that name takes what
    was finished from there, and clears the rest away; see `vivit_jax.data.preparation.journal`.

    Args:
      layout: how the videos are labelled, one of `LAYOUTS`.
      source: where they are; None for a layout that makes its own.
      name: the data set's name: lower-case letters, digits and underscores, beginning with a letter.
      data_dir: the folder of prepared data sets.
      short_side: pixels; smaller videos keep their size.
      workers: processes that transcode; None is one a CPU core.
      tolerate: how many videos may be refused: a number, or if below 1 a share of all videos.
      overwrite: replace a data set of that name; nothing else is ever replaced.
      reading: how the source is read.
      shares: how to assign clips to splits; None if the source has splits.
      progress: whether a bar is shown on standard error, where that is a terminal.

    Raises:
      UserError: for bad arguments or annotations, an existing name, or more refused videos than tolerated. Nothing is left behind then.
    """
    from vivit_jax.data.preparation import builder

    started = time.monotonic()
    workers = available_cpus() if workers is None else workers
    builder.check_name(name)
    if short_side < 2 or short_side % 2 or workers < 1 or tolerate < 0:
        raise UserError(f"need an even short_side, workers >= 1, tolerate >= 0, got {short_side}, {workers}, {tolerate:g}")
    check_layout(layout, source)
    target = local_folder(data_dir) / name
    source = None if source is None else local_folder(source, "SOURCE")
    recover(target)
    check_free(target, source, overwrite=overwrite)
    annotations = read_layout(layout, source, reading, shares)
    check_apart(target, (clip.source for clip in annotations.clips if isinstance(clip.source, pathlib.Path)))
    allowed = int(tolerate * len(annotations.clips)) if tolerate < 1 else int(tolerate)
    summary = Summary(target, remarks=annotations.remarks)
    with staging(target) as folder, _progress(name, len(annotations.clips), shown=progress) as advance:
        with Journal(folder / DONE, short_side) as journal, (folder / CLIPS).open("w", encoding="utf-8") as file:
            outcome = _Outcome(summary, Listing(file, _root(source, reading)), allowed)
            results = _transcoded(annotations, short_side, workers, journal, outcome, advance)
            contents = builder.Contents(
                splits=annotations.splits,
                labels=annotations.labels,
                examples=_Examples(results),
                multi_label=annotations.multi_label,
                description=f"Videos prepared by `vivit prepare {layout}`, with a short side of at most {short_side} pixels.",
            )
            path = builder.write(name, folder, contents)
        (folder / CLIPS).rename(path / CLIPS)
        if annotations.missing:
            write_atomically(path / MISSING, _listed(annotations.missing))
        write_json(path / REPORT, _report(summary, annotations))
        builder.finish(path, annotations.labels)
        move_into_place(folder / name, target, overwrite=overwrite)
    summary.seconds = time.monotonic() - started
    return summary


def _root(source: pathlib.Path | None, reading: Reading | None) -> pathlib.Path | None:
    """The folder that the list tells origins relative to."""
    if reading is not None and reading.root is not None:
        return reading.root
    return source if source is None or source.is_dir() else source.parent


def _report(summary: Summary, annotations: Annotations) -> dict:
    """What `preparation.json` holds; its `manifest` tells a data set whose manifest was deleted from one of a version that wrote none."""
    groups = {clip.name: clip.group for clip in annotations.clips if clip.group is not None}
    report = {field: getattr(summary, field) for field in ("refused", "changed", "remarks")}
    return report | ({"groups": groups} if groups else {}) | {"manifest": True}


def _listed(missing: Sequence[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("split", "name"), *missing])
    return text.getvalue()


@dataclasses.dataclass
class _Outcome:
    """What becomes of the clips one by one, counted and listed."""

    summary: Summary
    listing: Listing
    allowed: int

    def stored(self, clip: Clip, facts: Facts) -> None:
        self.summary.add(clip, facts)
        self.listing.stored(clip, facts)

    def refused(self, clip: Clip, reason: str) -> None:
        self.summary.refused.append((clip.split, clip.name, reason))
        self.listing.refused(clip, reason)

    @property
    def tolerated(self) -> bool:
        return len(self.summary.refused) <= self.allowed

    def check(self, annotations: Annotations) -> None:
        """Raises `RefusedError` if more clips were refused than tolerated, `EmptySplitError` if all of a split were."""
        refused = self.summary.refused
        if not self.tolerated:
            raise RefusedError(refused, len(annotations.clips), self.allowed)
        empty = [split for split in annotations.splits if split not in self.summary.stored]
        if empty:
            raise EmptySplitError(f"every video of {', '.join(empty)} was refused; the first, {': '.join(refused[0][1:])}")


def _transcoded(
    annotations: Annotations, short_side: int, workers: int, journal: Journal, outcome: _Outcome, advance: Callable[[], None]
) -> Iterator[tuple[Clip, Transcoded]]:
    """The clips that can be stored, split by split. Past the tolerance no more are stored, but the rest are still tried, so that one report
    names all that are refused."""
    for clip, stored in _each(in_order(annotations), short_side, workers, journal, outcome.summary):
        advance()
        if isinstance(stored, Failure):
            outcome.refused(clip, stored.reason.removeprefix(f"{clip.name}: "))
            if len(outcome.summary.refused) >= outcome.allowed + GIVE_UP_AFTER:
                break
        elif outcome.tolerated:
            outcome.stored(clip, stored.facts)
            yield clip, stored
    outcome.check(annotations)


def in_order(annotations: Annotations) -> list[Clip]:
    """The clips in the order in which they are made: split by split."""
    return sorted(annotations.clips, key=lambda clip: annotations.splits.index(clip.split))


def _each(
    clips: Sequence[Clip], short_side: int, workers: int, journal: Journal, summary: Summary
) -> Iterator[tuple[Clip, Transcoded | Failure]]:
    """The clips in their order, those of one video made together, and those that the journal has not made again."""
    jobs = list(of_one_video(clips))
    kept = [job in journal for job in jobs]
    work = functools.partial(transcode_together, short_side=short_side)
    missing = [job for job, known in zip(jobs, kept, strict=True) if not known]
    with contextlib.closing(_made(work, missing, workers)) as made:
        for job, known in zip(jobs, kept, strict=True):
            stored = journal.get(job) if known else None
            if stored is not None:
                summary.resumed += len(job)
            else:
                ((_, stored),) = _made(work, [job], 1) if known else [next(made)]  # what was kept may be damaged
                journal.add(job, stored)
            yield from zip(job, stored, strict=True)


def _made(work: Callable, jobs: Sequence[list[Clip]], workers: int) -> Iterator[tuple[list[Clip], list[Transcoded | Failure]]]:
    """Each job with the result of each of its clips."""
    limits = {"seconds": LIMITS.seconds + 60, "memory": LIMITS.memory}
    for job, stored in map_in_order(work, jobs, workers=min(workers, len(jobs)), **limits):
        if isinstance(stored, Failure):
            stored = [Failure(stored.reason.removeprefix(f"{job[0].name}: "))] * len(job)
        yield job, stored


class _Examples:
    """Hands one stream of clips, sorted by split, to a builder that asks for one split after the other."""

    def __init__(self, results: Iterator[tuple[Clip, Transcoded]]) -> None:
        self._results = results
        self._next = None

    def __call__(self, split: str) -> Iterator[tuple[str, dict]]:
        count = 0
        while (pair := self._next or next(self._results, None)) is not None and pair[0].split == split:
            self._next = None
            count += 1
            yield pair[0].name, _example(*pair)
        self._next = pair
        if not count:  # the stream ends by saying why
            deque(self._results, maxlen=0)


def _example(clip: Clip, stored: Transcoded) -> dict:
    return {
        "video": stored.video,
        "label": clip.label,
        "name": clip.name,
        "frames": stored.frames,
        "fps": float(stored.fps),
        "width": stored.width,
        "height": stored.height,
        "duration": float(stored.frames / stored.fps),
    }


@contextlib.contextmanager
def _progress(name: str, total: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar, where a person can see it, and the function that advances it by one."""
    with console.progress_bar(shown=shown, stderr=True) as bar:
        task = bar.add_task(f"preparing {name}", total=total, note="")
        yield lambda: bar.advance(task)
