"""Prepare videos once: read a layout, transcode every clip, write a tfds data set that training reads with random access.

Example:
  vivit prepare folder my_videos --name my_videos --data_dir data
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vivit_jax.data.container import LIMITS
from vivit_jax.data.layouts import LAYOUTS, Annotations, Clip, read_layout
from vivit_jax.data.layouts.base import class_names
from vivit_jax.data.transcode import Transcoded, transcode
from vivit_jax.data.workers import Failure, available_cpus, map_in_order
from vivit_jax.errors import UserError
from vivit_jax.files import lock

SHORT_SIDE = 256
GIVE_UP_AFTER = 100  # videos refused beyond the tolerance before the rest is not even tried
REPORT = "preparation.json"
SHOWN = 20  # names printed of a long list; the report has them all


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
      path: of the data set.
      counts: stored clips by split and class; for several heads the class is their names joined by ` / `, and a clip of several classes
        counts for each.
      stored: stored clips by split.
      seconds_of_video: of the stored clips.
      bytes: of the stored videos.
      refused: clips left out, as (split, name, reason).
      changed: clips whose form was changed, as (split, name, what was done).
      remarks: of the layout.
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
    seconds: float = 0.0

    @property
    def clips(self) -> int:
        """Stored clips."""
        return self.stored.total()

    def add(self, clip: Clip, stored: Transcoded) -> None:
        """Counts a stored clip."""
        label = " / ".join(clip.label.values()) if isinstance(clip.label, Mapping) else clip.label
        self.counts.setdefault(clip.split, Counter()).update(class_names(label))
        self.stored[clip.split] += 1
        self.seconds_of_video += float(stored.frames / stored.fps)
        self.bytes += len(stored.video)
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
    console: Console | None = None,
) -> Summary:
    """Makes the data set `data_dir/name` of the labelled videos in `source`.

    Every bit of the result is a function of the source, `short_side` and the versions of the libraries, whatever the number of workers.
    It appears whole or not at all: it is made in a hidden folder beside it, which a later call clears away if this one is killed.

    Args:
      layout: how the videos are labelled, one of `LAYOUTS`.
      source: where they are; None for a layout that makes its own.
      name: of the data set: lower-case letters, digits, underscores.
      data_dir: the folder of prepared data sets.
      short_side: pixels; smaller videos keep their size.
      workers: processes that transcode; None is one a CPU core.
      tolerate: how many videos may be refused, a number, or below 1 a share of all.
      overwrite: replace a data set of that name.
      console: where progress is shown; None is nowhere.

    Raises:
      UserError: for bad arguments or annotations, an existing name, or more refused videos than tolerated. Nothing is left behind then.
    """
    from vivit_jax.data import builder  # tfds takes a while to import

    started = time.monotonic()
    workers = available_cpus() if workers is None else workers
    builder.check_name(name)
    if short_side < 2 or short_side % 2 or workers < 1 or tolerate < 0:
        raise UserError(f"need an even short_side, workers >= 1, tolerate >= 0, got {short_side}, {workers}, {tolerate:g}")
    target = pathlib.Path(data_dir).expanduser() / name
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists already: choose another --name, or give --overwrite to replace it")
    annotations = read_layout(layout, source)
    allowed = int(tolerate * len(annotations.clips)) if tolerate < 1 else int(tolerate)
    summary = Summary(target, remarks=annotations.remarks)
    with _staging(target) as staging, _progress(console, name, len(annotations.clips)) as advance:
        results = _transcoded(annotations, short_side, workers, summary, allowed, advance)
        contents = builder.Contents(
            splits=annotations.splits,
            labels=annotations.labels,
            examples=_Examples(results),
            multi_label=annotations.multi_label,
            description=f"Videos prepared by `vivit prepare {layout}`, with a short side of at most {short_side} pixels.",
        )
        path = builder.write(name, staging, contents)
        (path / REPORT).write_text(
            json.dumps({field: getattr(summary, field) for field in ("refused", "changed", "remarks")}, indent=1) + "\n"
        )
        builder.finish(path, annotations.labels)
        _move_into_place(staging / name, target, overwrite)
    summary.seconds = time.monotonic() - started
    return summary


def _transcoded(
    annotations: Annotations, short_side: int, workers: int, summary: Summary, allowed: int, advance: Callable[[], None]
) -> Iterator[tuple[Clip, Transcoded]]:
    """The clips that can be stored, split by split. Past the tolerance none is stored any more, but the others are still looked at, so
    that one report names them all."""
    clips = sorted(annotations.clips, key=lambda clip: annotations.splits.index(clip.split))
    work = functools.partial(transcode, short_side=short_side)
    for clip, stored in map_in_order(work, clips, workers=min(workers, len(clips)), seconds=LIMITS.seconds + 60, memory=LIMITS.memory):
        advance()
        if isinstance(stored, Failure):
            summary.refused.append((clip.split, clip.name, stored.reason.removeprefix(f"{clip.name}: ")))
            if len(summary.refused) >= allowed + GIVE_UP_AFTER:
                break
        elif len(summary.refused) <= allowed:
            summary.add(clip, stored)
            yield clip, stored
    if len(summary.refused) > allowed:
        raise RefusedError(summary.refused, len(clips), allowed)
    empty = [split for split in annotations.splits if split not in summary.stored]
    if empty:
        raise EmptySplitError(f"every video of {', '.join(empty)} was refused; the first, {': '.join(summary.refused[0][1:])}")


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
def _staging(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A hidden folder beside `target` to work in, gone at the end; those of killed runs, which hold no lock any more, are cleared away."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{target.name}.preparing-"
        for old in target.parent.glob(f"{prefix}*"):
            with contextlib.suppress(OSError), _locked(old):
                shutil.rmtree(old)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    except OSError as error:
        raise UserError(f"cannot write to {target.parent} ({error.strerror})") from None
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a folder where the file system has locks; raises `BlockingIOError` if another process has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _move_into_place(made: pathlib.Path, target: pathlib.Path, overwrite: bool) -> None:
    """Makes the finished data set visible, in place of an older one if it may."""
    if overwrite and target.exists():
        target.rename(made.parent / "replaced")
    try:
        made.rename(target)
    except OSError:
        raise UserError(f"{target} has come into being meanwhile: another run has made it") from None


@contextlib.contextmanager
def _progress(console: Console | None, name: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar, where a person can see it, and the function that advances it by one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=console is None or not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"preparing {name}", total=total)
        yield lambda: progress.advance(task)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `vivit prepare`."""
    sources = "; ".join(f"{name}: {layout.source or 'none'}" for name, layout in LAYOUTS.items())
    parser.add_argument("layout", metavar="LAYOUT", help=f"how the videos are labelled: {', '.join(LAYOUTS)}")
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=f"where they are ({sources})".replace("%", "%%"))
    parser.add_argument("--name", required=True, help="of the data set: lower-case letters, digits, underscores")
    parser.add_argument("--data_dir", required=True, help="the folder of prepared data sets")
    parser.add_argument("--short_side", type=int, default=SHORT_SIDE, help="pixels; smaller videos keep their size (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="processes that transcode (default: one a CPU core)")
    parser.add_argument(
        "--tolerate", type=float, default=0, metavar="N", help="how many videos may be left out as unreadable; below 1, the share of all"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of that name")


def run(arguments: argparse.Namespace) -> None:
    """Runs `vivit prepare`: a progress bar on standard error, the summary on standard output."""
    summary = prepare(
        arguments.layout,
        arguments.source,
        name=arguments.name,
        data_dir=arguments.data_dir,
        short_side=arguments.short_side,
        workers=arguments.workers,
        tolerate=arguments.tolerate,
        overwrite=arguments.overwrite,
        console=Console(stderr=True),
    )
    print_summary(summary, Console())


def print_summary(summary: Summary, console: Console) -> None:
    """Prints counts by split and class, sizes, and what was left out or changed, by name."""
    splits = list(summary.counts)
    table = Table("class", *splits)
    for label in sorted(set().union(*summary.counts.values())):
        table.add_row(escape(label), *(str(summary.counts[split][label]) for split in splits))
    table.add_row("all", *(str(summary.stored[split]) for split in splits), style="bold")
    console.print(table)
    for remark in summary.remarks:
        console.print(remark, markup=False, soft_wrap=True)
    for title, rows in (("changed in form", summary.changed), ("refused", summary.refused)):
        if rows:
            console.print(f"{title}: {len(rows)}")
        for split, name, what in rows[:SHOWN]:
            console.print(f"  {split}: {name}: {what}", markup=False, highlight=False, soft_wrap=True)
        if len(rows) > SHOWN:
            console.print(f"  ... and {len(rows) - SHOWN} more, listed in {REPORT}")
    console.print(
        f"{summary.path}: {summary.clips} videos, {summary.seconds_of_video:.0f} s of video, "
        f"{summary.bytes / 1e6:.1f} MB, made in {summary.seconds:.1f} s",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
