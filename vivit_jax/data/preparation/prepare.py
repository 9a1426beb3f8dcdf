"""Makes a data set of videos: reads a layout, transcodes every clip, and writes a tfds data set that training reads with random access."""

import argparse
import csv
import dataclasses
import functools
import io
import logging
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence

from vivit_jax import extras
from vivit_jax.atomic import write_atomically, write_json
from vivit_jax.data.layouts import LAYOUTS, Annotations, Reading, check_layout, read_layout
from vivit_jax.data.layouts.base import files_read_by, tolerated
from vivit_jax.data.layouts.splitting import Shares, percentages
from vivit_jax.data.preparation.listing import Listing
from vivit_jax.data.preparation.outcome import SHOWN, EmptySplitError, Outcome, RefusedError, Summary
from vivit_jax.data.preparation.place import (
    CLIPS,
    MISSING,
    check_apart,
    check_free,
    local_folder,
    move_into_place,
    recover,
    staging,
)
from vivit_jax.data.preparation_report import REPORT
from vivit_jax.data.workers import available_cpus
from vivit_jax.errors import UserError, check_whole, unknown_name

__all__ = ["SHORT_SIDE", "SHOWN", "EmptySplitError", "RefusedError", "Summary", "prepare"]

SHORT_SIDE = 256


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
    split: str | None = None,
    beam_options: str | None = None,
    progress: bool = False,
    **options: object,
) -> Summary:
    """Makes the data set `data_dir/name` of the labelled videos in `source`.

    Every bit of the result is a function of the source, `short_side` and the versions of the libraries, whatever the number of workers.
    It appears whole or not at all: it is made in a hidden folder beside it. If this call is killed, the next one of that name takes what
    was finished from there, and clears the rest away; see `vivit_jax.data.preparation.journal`.

    Examples:
      >>> prepare("folder", "my_videos", name="my_videos", data_dir="data", split="70,15,15")

    Args:
      layout: how the videos are labelled, one of `LAYOUTS`.
      source: the file or folder that the layout reads; None for a layout that makes its own videos.
      name: the data set's name: lower-case letters, digits and underscores, beginning with a letter.
      data_dir: the folder of prepared data sets.
      short_side: pixels; smaller videos keep their size.
      workers: processes that transcode; None is one a CPU core.
      tolerate: how many videos may be refused, or named by a csv and missing: a number, or if below 1 a share of all videos.
      overwrite: replace a data set of that name; nothing else is ever replaced.
      reading: how the source is read.
      shares: how to assign clips to splits; None if the source has splits.
      split: in place of `shares`, percentages as on the command line: `"70,15,15"`.
      beam_options: options of an Apache Beam pipeline, as on a command line, to make the videos by it in place of `workers` processes;
        what it has made when it is killed is made again.
      progress: whether a bar is shown on standard error, where that is a terminal.
      **options: in place of `reading`, fields of it: `group="person"`, `heads=("verb", "noun")`, `root="videos"`.

    Returns:
      What was stored, what was changed in form and what was refused.

    Raises:
      UserError: for bad arguments or annotations, an existing name, or more refused videos than tolerated. Nothing is left behind then,
        but for what took over a minute to make: the next call finds it.
    """
    from vivit_jax.data.preparation import builder, making

    started = time.monotonic()
    reading, shares = _asked(reading or Reading(), options), _asked_shares(shares, split)
    workers = available_cpus() if workers is None else workers
    builder.check_name(name)
    _check_numbers(short_side, workers, tolerate)
    check_layout(layout, source)
    write = _by_beam(beam_options) if beam_options is not None else functools.partial(making.write, workers=workers, progress=progress)
    target = local_folder(data_dir) / name
    source = None if source is None else local_folder(source, "SOURCE")
    recover(target)
    check_free(target, source, overwrite=overwrite)
    if "tolerate" in LAYOUTS[layout].takes:
        reading = dataclasses.replace(reading, tolerate=tolerate)
    annotations = read_layout(layout, source, reading, shares)
    check_apart(target, (path for clip in annotations.clips for path in files_read_by(clip.source)))
    description = f"Videos prepared by `vivit prepare {layout}`, with a short side of at most {short_side} pixels."
    summary = Summary(target, remarks=annotations.remarks)
    with staging(target) as folder:
        with (folder / CLIPS).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            outcome = Outcome(annotations, tolerated(tolerate, len(annotations.clips)), summary, Listing(file, _root(source, reading)))
            path = write(name, folder, description, outcome, short_side)
        summary.remarks += tuple(outcome.lost_classes())
        (folder / CLIPS).rename(path / CLIPS)
        _write_reports(path, summary, annotations, reading, short_side)
        builder.finish(path, annotations.labels)
        move_into_place(folder / name, target, overwrite=overwrite)
    summary.seconds = time.monotonic() - started
    return summary


def _check_numbers(short_side: int, workers: int, tolerate: float) -> None:
    check_whole("--short_side", short_side, 2)
    if short_side % 2:
        raise UserError(f"--short_side must be an even number of pixels, got {short_side}")
    check_whole("--workers", workers)
    if not tolerate >= 0:
        raise UserError(f"--tolerate must be a number of videos, or a share of all below 1, got {tolerate:g}")


def _asked(reading: Reading, options: Mapping[str, object]) -> Reading:
    """The reading with the fields that are given one by one, as they may be written in Python."""
    fields = [field.name for field in dataclasses.fields(Reading)]
    unknown = next((name for name in options if name not in fields), None)
    if unknown is not None:
        raise unknown_name("argument", unknown, fields)
    given = dict(options)
    for name in ("root", "within"):
        given |= {name: pathlib.Path(given[name])} if given.get(name) is not None else {}
    for name, made in (("heads", str), ("annotations", pathlib.Path)):
        several = [given[name]] if isinstance(given.get(name), str | pathlib.Path) else given.get(name, ())
        given |= {name: tuple(made(entry) for entry in several)} if several else {}
    return dataclasses.replace(reading, **given)


def _asked_shares(shares: Shares | None, split: str | None) -> Shares | None:
    if split is None:
        return shares
    if shares is not None:
        raise UserError("give split or shares, not both")
    try:
        return Shares(percentages(split))
    except argparse.ArgumentTypeError as error:
        raise UserError(f"split {error}") from None


def _by_beam(options: str) -> Callable[..., pathlib.Path]:
    """The counterpart of `making.write` that makes the videos in an Apache Beam pipeline with these options."""
    logging.disable(logging.WARNING)  # of Google's clients that are not installed
    try:
        from vivit_jax.data.preparation import beam
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("apache_beam"):
            raise
        raise UserError(f"--beam needs the extra beam: {extras.install('beam')}") from None
    finally:
        logging.disable(logging.NOTSET)
    return functools.partial(beam.write, options=options)


def _root(source: pathlib.Path | None, reading: Reading) -> pathlib.Path | None:
    """The folder that the origins in the list are relative to."""
    return reading.root or (source if source is None or source.is_dir() else source.parent)


def _write_reports(path: pathlib.Path, summary: Summary, annotations: Annotations, reading: Reading, short_side: int) -> None:
    """Writes what was done beside the data set: `preparation.json`, and the list of missing videos if there are any."""
    if annotations.missing:
        write_atomically(path / MISSING, _listed(annotations.missing))
    report = {
        "refused": summary.refused,
        "changed": summary.changed,
        "remarks": summary.remarks,
        "groups": {clip.name: clip.group for clip in annotations.clips if clip.group is not None},
        "group_column": reading.group,
        "unlabelled": annotations.unlabelled,
        "manifest": True,  # tells a manifest that was lost from a data set of older versions, which wrote none
        "short_side": short_side,
    }
    write_json(path / REPORT, {key: value for key, value in report.items() if value or key in ("refused", "changed", "remarks")})


def _listed(missing: Sequence[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("split", "name"), *missing])
    return text.getvalue()
