"""Classifies videos: the most probable classes of each, from the average of several views; or of each window of time along it.

Example:
  vivit predict --model runs/digits/model clip.mp4 other.mp4 --top_k 3
  vivit predict --model runs/digits/model clips/ 'more/**/*.mkv' --out predictions.csv
  vivit predict --model runs/digits/model film.mp4 --window 2s --every 1s --out film.csv --plot film.png
  ffmpeg -i rtsp://camera -f matroska - | vivit predict --model runs/digits/model - --window 2s

A VIDEO is a file, a folder (the videos anywhere below it, sorted), a pattern in quotes, or - for a video on standard input.

With --window, each window is scored as a video that holds nothing else would be: its frames are those first shown within it. Times count
from the first frame. Unless --views says otherwise, as many clips as cover the window are averaged, one crop each; a window shorter than
a clip starts over, as a short video does. A rest of the video shorter than a tenth of a window has no row. The video is decoded once, and
memory does not grow with its length.

--out has a row a window (or a video): video, start, end, label, probability; for several heads also head. Rows of .csv and .jsonl are
written as they are done. The same command again goes on where it was interrupted, and does again only what failed; FILE.json beside the
file says how its rows were made, and a command that would make others is refused. A .parquet file (extra parquet) appears when all is done.

If a file cannot be read, the command names it, still classifies the others, and exits with code 2. Files are decoded in separate processes,
so that one that takes too long or too much memory can be stopped.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_model, duration, positive, views
from vivit_jax.commands.predictions import print_videos, print_windows, tell_failed, write_rows
from vivit_jax.data.sources import check_standard_input, find_videos, standard_input_as_file
from vivit_jax.data.video.passage import STANDARD_INPUT
from vivit_jax.errors import UserError, printable
from vivit_jax.inference.along import Part, along, whole
from vivit_jax.inference.predict import Outcome, predict_many
from vivit_jax.inference.row_files import RowFile, check_suffix, open_rows
from vivit_jax.inference.rows import RowsOfModel, fingerprint
from vivit_jax.inference.timeline import Timeline, check_format
from vivit_jax.inference.windows import WindowScorer
from vivit_jax.weights import Pretrained, from_pretrained

WHOLE_VIEWS = (4, 3)
COVERING = "as many clips as cover a window"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit predict`."""
    add_model(parser)
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help="video files, folders of them, patterns in quotes, or -")
    parser.add_argument("--list", action="append", default=[], metavar="FILE", help="a text file with a VIDEO a line")
    parser.add_argument("--top_k", type=positive, metavar="K", help="classes to give (default 5; 1 with --window or --out)")
    parser.add_argument(
        "--views",
        type=views,
        metavar="TxS",
        help="temporal clips x spatial crops whose logits are averaged (default 4x3; with --window as many clips as cover it x 1)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of tables; with --window, an object a line")
    parser.add_argument("--window", type=duration, metavar="TIME", help="score windows this long, such as 2s, 500ms or 0:30")
    parser.add_argument("--every", type=duration, metavar="TIME", help="time from window to window (default: that of --window)")
    parser.add_argument(
        "--smooth",
        type=duration,
        default=0.0,
        metavar="TIME",
        help="average each window's probabilities over all windows whose middle is at most half of TIME from its own",
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="write rows to a .csv, .jsonl or .parquet file")
    parser.add_argument("--overwrite", action="store_true", help="begin --out anew instead of going on with it")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="draw the leading classes over time as .png, .svg or .pdf")


def run(arguments: argparse.Namespace) -> None:
    """Prints the predictions, or writes them.

    Raises:
      UserError: for options that do not fit; after all videos, if one of them could not be classified.
    """
    _check(arguments)
    sources = find_videos(arguments.videos, arguments.list)
    if arguments.plot and len(sources.videos) > 1:
        raise UserError(f"--plot draws one video, got {len(sources.videos)}")
    if sources.remark:
        print(f"vivit: {printable(sources.remark)}", file=sys.stderr)
    tell_of_unused_gpu()
    pretrained = from_pretrained(arguments.model)
    if arguments.window or arguments.out:
        videos = tuple(dict.fromkeys(sources.videos))  # rows of a video named twice would be there twice
        failed = (_along if arguments.window else _whole)(arguments, pretrained, videos)
    else:
        videos = sources.videos
        failed = _printed(arguments, pretrained, videos)
    tell_failed(failed, len(videos))


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.videos and not arguments.list:
        raise UserError("no video is given: name files, folders, patterns, or - for standard input")
    for option in ("every", "smooth", "plot"):
        if getattr(arguments, option) and not arguments.window:
            raise UserError(f"--{option} is about windows: give --window too")
    if arguments.json and arguments.out:
        raise UserError("--json prints and --out writes: give one of them")
    if arguments.overwrite and not arguments.out:
        raise UserError("--overwrite is about the file of --out: give it too")
    if arguments.out:
        check_suffix(arguments.out)
    if arguments.plot:
        check_format(arguments.plot)
    if STANDARD_INPUT in arguments.videos:
        check_standard_input()


def _along(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> list[str]:
    """Windows along the videos, written or printed; returns the errors."""
    table, every = RowsOfModel(pretrained, arguments.top_k or 1), arguments.every or arguments.window
    with contextlib.ExitStack() as stack:
        how = {"window": arguments.window, "every": every, "smooth": arguments.smooth, "views": arguments.views or COVERING}
        file = stack.enter_context(_opened(arguments, table, how, every)) if arguments.out else None
        first = {video: file.first(video) for video in videos} if file else {}
        # A picture needs the scores of all classes, also of windows whose rows are there already.
        again = {} if arguments.plot else first
        left = [video for video in videos if again.get(video, 0) is not None]
        scorer = WindowScorer(pretrained, arguments.window, every, views=arguments.views, standard_input=STANDARD_INPUT in videos)
        parts = along(stack.enter_context(scorer), left, smooth=arguments.smooth, first=again)
        if arguments.plot:
            parts = _drawn(parts, Timeline(pretrained.labels), arguments.plot)
        if file:
            return write_rows(file, table, parts, first, total=len(videos), done=len(videos) - len(left))
        return print_windows(table, parts, total=len(videos), as_json=arguments.json)


def _whole(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> list[str]:
    """Whole videos, written; returns the errors."""
    table, views = RowsOfModel(pretrained, arguments.top_k or 1), arguments.views or WHOLE_VIEWS
    with _opened(arguments, table, {"views": views}, None) as file:
        left = [video for video in videos if file.first(video) is not None]
        with _as_files(left) as (files, names):
            scored = whole(pretrained, files, views=views)
            parts = (_renamed(part, names) for part in scored)
            return write_rows(file, table, parts, {}, total=len(videos), done=len(videos) - len(left))


def _printed(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> list[str]:
    """Whole videos, printed; returns the errors."""
    with _as_files(videos) as (files, names):
        outcomes = predict_many(pretrained, files, top_k=arguments.top_k or 5, views=arguments.views or WHOLE_VIEWS)
        return print_videos((_renamed(outcome, names) for outcome in outcomes), total=len(videos), as_json=arguments.json)


def _opened(arguments: argparse.Namespace, table: RowsOfModel, how: dict, every: float | None) -> RowFile:
    made = {"model_sha256": fingerprint(table.pretrained), "top_k": table.top_k, **how}
    return open_rows(arguments.out, table, made, every=every, overwrite=arguments.overwrite)


def _drawn(parts: Iterable[Part], timeline: Timeline, out: pathlib.Path) -> Iterator[Part]:
    """The parts of a video, which is drawn when the last has come."""
    for part in parts:
        for scores in part.scores:
            timeline.add(scores)
        yield part
        if part.is_last and timeline.save(out, pathlib.PurePath(part.video).name):
            print(f"vivit: scores over time drawn in {printable(str(out))}", file=sys.stderr)


@contextlib.contextmanager
def _as_files(videos: Sequence[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yields the videos as files, standard input read into one, and what such a file is called."""
    if STANDARD_INPUT not in videos:
        yield list(videos), {}
        return
    with standard_input_as_file() as file:
        yield [file if video == STANDARD_INPUT else video for video in videos], {file: STANDARD_INPUT}


def _renamed(result: Part | Outcome, names: dict[str, str]) -> Part | Outcome:
    """What is told of a video, told of it by another name where it has one."""
    name = names.get(result.video)
    error = result.error and name and result.error.replace(result.video, name)
    return dataclasses.replace(result, video=name, error=error) if name else result
