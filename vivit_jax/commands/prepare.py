"""Makes a data set of videos: reads their labels, and stores every clip so that training reads it quickly.

Example:
  vivit prepare folder my_videos --name my_videos --data_dir data
  vivit prepare csv list.csv --split 70,15,15 --group person --name my_videos --data_dir data
"""

import argparse
import pathlib
import textwrap

from rich.table import Table

from vivit_jax import console
from vivit_jax.commands.arguments import is_given, number, positive, refuse_unused
from vivit_jax.console import counted, first_of
from vivit_jax.data.layouts import LAYOUTS, Reading
from vivit_jax.data.layouts.splitting import Shares, percentages
from vivit_jax.data.preparation.place import local_folder
from vivit_jax.data.preparation.prepare import SHORT_SIDE, SHOWN, Summary, prepare
from vivit_jax.data.preparation_report import REPORT
from vivit_jax.errors import UserError

FAR_APART = 1.3  # 30 frames a second beside 25 are one speed for most purposes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit prepare`."""
    parser.epilog = f"layouts, and what SOURCE is:\n{_layouts()}"
    parser.add_argument("layout", metavar="LAYOUT", help="how the videos are labelled: one of the layouts below")
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="the folder or file that the layout reads, see below")
    parser.add_argument("--name", required=True, metavar="NAME", help="name of the data set: lower-case letters, digits, underscores")
    parser.add_argument("--data_dir", required=True, metavar="DIR", help="folder of prepared data sets")
    parser.add_argument(
        "--short_side",
        type=positive,
        default=SHORT_SIDE,
        metavar="N",
        help="short side of stored videos in pixels; smaller ones keep their size (default: %(default)s)",
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="processes that transcode (default: one for each CPU core)")
    parser.add_argument(
        "--tolerate",
        type=number,
        default=0,
        metavar="N",
        help="how many unreadable videos, or missing ones that a csv names, may be left out (default: 0); below 1, a share of all",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of that name; nothing else is ever replaced")
    _add_reading(parser)
    parser.add_argument("--beam", action="store_true", help="make the videos by Apache Beam (extra `beam`), on many machines")
    parser.add_argument(
        "--beam_options",
        default="",
        metavar="OPTIONS",
        help="options of Beam's pipeline, as in "
        '--beam_options="--runner=DirectRunner --direct_num_workers=8 --direct_running_mode=multi_processing"',
    )
    parser.add_argument("--root", metavar="DIR", help="folder that the paths in a list start from (default: the folder of the list)")
    parser.add_argument("--within", metavar="DIR", help="for a list you do not trust: refuse files outside DIR, with links resolved")


def _layouts() -> str:
    """A list of the layouts, each with the form of its source."""
    width = max(map(len, LAYOUTS))
    return "\n".join(
        textwrap.fill(
            layout.source or "none: the videos are made", 78, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4)
        )
        for name, layout in LAYOUTS.items()
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how the labels are read, and clips assigned to splits."""
    parser.add_argument(
        "--split",
        type=percentages,
        metavar="70,15,15",
        help="for a source without splits: percentages of train, val and test (two numbers are train and test); each class is divided as "
        "nearly in these shares as possible, and the same names and seed always give the same splits",
    )
    parser.add_argument(
        "--group", metavar="COLUMN", help="column of a csv: clips with the same value have one origin, and stay in one split"
    )
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        action="append",
        default=[],
        help="file of labels, or folder of such files, if they are not in SOURCE with the videos; may be given several times",
    )
    parser.add_argument("--heads", metavar="A,B", help="columns of a csv that each hold a label, as in --heads verb,noun")
    parser.add_argument(
        "--split_number", type=positive, default=1, metavar="N", help="for ucf101 and hmdb51: which of their three splits (default: 1)"
    )
    parser.add_argument("--fps", type=number, metavar="RATE", help="for videos that are folders of image files: frames a second")
    parser.add_argument("--allow_shared_videos", action="store_true", help="let segments of one video be in several splits")
    parser.add_argument(
        "--first_frame",
        type=int,
        choices=(0, 1),
        default=0,
        help="for a csv of segments by frame numbers: the number of a video's first frame (default: %(default)s)",
    )
    parser.add_argument(
        "--stop_frame_included",
        action="store_true",
        help="for such a csv: the frame that ends a segment is its last, and not the one after",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of --split (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Runs `vivit prepare`: a progress bar on standard error, the summary on standard output."""
    if arguments.split is None:
        refuse_unused(arguments, ("seed",), "without --split")
    if arguments.beam_options:
        refuse_unused(arguments, ("workers",), "with --beam_options, which say how many there are")
    summary = prepare(
        arguments.layout,
        arguments.source,
        name=arguments.name,
        data_dir=arguments.data_dir,
        short_side=arguments.short_side,
        workers=arguments.workers,
        tolerate=arguments.tolerate,
        overwrite=arguments.overwrite,
        reading=_reading(arguments),
        shares=None if arguments.split is None else Shares(arguments.split, arguments.seed),
        beam_options=_beam_options(arguments),
        progress=True,
    )
    print_summary(summary)
    if arguments.split and not arguments.heads:
        _warn_of_lacking(summary)


def _beam_options(arguments: argparse.Namespace) -> str | None:
    if arguments.beam_options and not arguments.beam:
        raise UserError("--beam_options has no effect without --beam")
    if not arguments.beam:
        return None
    if is_given(arguments, "workers"):
        return f"--runner=DirectRunner --direct_num_workers={arguments.workers} --direct_running_mode=multi_processing"
    return arguments.beam_options


def _reading(arguments: argparse.Namespace) -> Reading:
    return Reading(
        root=_folder(arguments.root, "--root"),
        within=_folder(arguments.within, "--within"),
        group=arguments.group,
        annotations=tuple(local_folder(path, "--annotations") for path in arguments.annotations),
        heads=tuple(head.strip() for head in arguments.heads.split(",")) if arguments.heads else (),
        split_number=arguments.split_number,
        fps=arguments.fps,
        shared_videos=arguments.allow_shared_videos,
        first_frame=arguments.first_frame,
        stop_frame_included=arguments.stop_frame_included,
    )


def _folder(text: str | None, option: str) -> pathlib.Path | None:
    if text is None:
        return None
    folder = local_folder(text, option)
    if not folder.is_dir():
        raise UserError(f"{option} {text}: no such folder")
    return folder


def _warn_of_lacking(summary: Summary) -> None:
    """Warns of classes of which --split left no clip in a split: its scores then say nothing about them."""
    classes = sorted(set().union(*summary.counts.values()))
    for split, counts in summary.counts.items():
        lacking = [label for label in classes if not counts[label]]
        if lacking:
            console.warn(f"{split} has no clip of {first_of(lacking)}: give it a larger share by --split, or more clips of the class")


def print_summary(summary: Summary) -> None:
    """Prints counts by split and class, sizes, and what was left out or changed, by name."""
    splits = list(summary.counts)
    table = Table("class", *map(console.verbatim, splits))
    for label in sorted(set().union(*summary.counts.values())):
        table.add_row(console.verbatim(label), *(str(summary.counts[split][label]) for split in splits))
    table.add_row("all", *(str(summary.stored[split]) for split in splits), style="bold")
    console.show(table)
    for remark in summary.remarks:
        console.say(remark)
    if summary.rates and summary.rates[-1] > FAR_APART * summary.rates[0]:
        slowest, fastest = (f"{float(rate):.4g}" for rate in (summary.rates[0], summary.rates[-1]))
        console.say(
            f"videos have {slowest} to {fastest} frames a second: with --config.data.stride, a clip spans less time in the faster ones; "
            f"--config.data.rate={slowest} takes frames by time"
        )
    for title, rows in (("changed in form", summary.changed), ("refused", summary.refused)):
        if rows:
            console.say(f"{title}: {len(rows)}")
        for split, name, what in rows[:SHOWN]:
            console.say(f"  {split}: {name}: {what}")
        if len(rows) > SHOWN:
            console.say(f"  ... and {len(rows) - SHOWN} more, listed in {REPORT}")
    if summary.resumed:
        console.say(f"{summary.resumed} of them were finished by a preparation that was interrupted")
    console.say(
        f"{summary.path}: {counted(summary.clips, 'video')}, {summary.seconds_of_video:.0f} s of video, "
        f"{summary.bytes / 1e6:.1f} MB, made in {summary.seconds:.1f} s"
    )
