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
import json
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_model, duration, positive, views
from vivit_jax.data.layouts.times import clock
from vivit_jax.data.sources import check_standard_input, find_videos, standard_input_as_file
from vivit_jax.data.video.passage import STANDARD_INPUT
from vivit_jax.errors import UserError, in_one_line, printable
from vivit_jax.heads import by_head
from vivit_jax.inference.along import Part, along, whole
from vivit_jax.inference.predict import Outcome, Prediction, Ranking, predict_many, ranked
from vivit_jax.inference.row_files import RowFile, check_suffix, open_rows
from vivit_jax.inference.rows import RowsOfModel, fingerprint, rounded
from vivit_jax.inference.timeline import Timeline, check_format
from vivit_jax.inference.windows import WindowScorer
from vivit_jax.weights import Pretrained, from_pretrained

WHOLE_VIEWS = (4, 3)


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
    if arguments.window:
        _along(arguments, pretrained, tuple(dict.fromkeys(sources.videos)))
    elif arguments.out:
        _whole(arguments, pretrained, tuple(dict.fromkeys(sources.videos)))
    else:
        _show(arguments, pretrained, sources.videos)


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


def _along(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> None:
    """Windows along the videos, printed or written."""
    table, every = RowsOfModel(pretrained, arguments.top_k or 1), arguments.every or arguments.window
    timeline = Timeline(pretrained.labels)
    with contextlib.ExitStack() as stack:
        how = {
            "window": arguments.window,
            "every": every,
            "smooth": arguments.smooth,
            "views": arguments.views or "as many as cover a window",
        }
        file = stack.enter_context(_opened(arguments, table, how, every)) if arguments.out else None
        done = {video: file.first(video) for video in videos} if file else {}
        left = [video for video in videos if arguments.plot or done.get(video, 0) is not None]
        options = {"views": arguments.views, "standard_input": STANDARD_INPUT in videos}
        scorer = stack.enter_context(WindowScorer(pretrained, arguments.window, every, **options))
        # A picture needs the scores of all classes, also in windows whose rows are there already.
        parts = along(scorer, left, smooth=arguments.smooth, first={} if arguments.plot else done)
        if arguments.plot:
            parts = _drawn(parts, timeline)
        failed = _write(file, table, parts, left, len(videos), done) if file else _print_windows(table, parts, left, as_json=arguments.json)
    if arguments.plot:
        timeline.save(arguments.plot, left[0])
        print(f"vivit: drawn in {printable(str(arguments.plot))}", file=sys.stderr)
    _tell_failed(failed, len(left))


def _whole(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> None:
    """Whole videos, written."""
    table = RowsOfModel(pretrained, arguments.top_k or 1)
    views = arguments.views or WHOLE_VIEWS
    with _opened(arguments, table, {"views": views}, None) as file, _as_files(videos) as (files, names):
        left = [path for path in files if file.first(names.get(path, path)) is not None]
        parts = (dataclasses.replace(part, video=names.get(part.video, part.video)) for part in whole(pretrained, left, views=views))
        failed = _write(file, table, parts, left, len(videos), {})
    _tell_failed(failed, len(left))


def _opened(arguments: argparse.Namespace, table: RowsOfModel, how: dict, every: float | None) -> RowFile:
    made = {"model_sha256": fingerprint(table.pretrained), "top_k": table.top_k, **how}
    return open_rows(arguments.out, table, made, every=every, overwrite=arguments.overwrite)


@contextlib.contextmanager
def _as_files(videos: Sequence[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yields the videos as files, standard input read into one, and what such a file is called."""
    if STANDARD_INPUT not in videos:
        yield list(videos), {}
        return
    with standard_input_as_file() as file:
        yield [file if video == STANDARD_INPUT else video for video in videos], {file: STANDARD_INPUT}


def _write(file: RowFile, table: RowsOfModel, parts: Iterable[Part], left: Sequence[str], total: int, done: Mapping[str, int]) -> list[str]:
    """Adds the rows of all parts to a file, and says how many; returns the errors."""
    failed, count = [], 0
    with console.progress_bar(stderr=True) as bar:
        task = bar.add_task("videos", total=total, completed=total - len(left), note="")
        for part in parts:
            first = done.get(part.video, 0)  # None: all rows are there
            new = [scores for scores in part.scores if first is not None and scores.number >= first]
            rows = [row for scores in new for row in table.rows(part.video, scores)]
            file.add(rows)
            count += len(rows)
            if part.is_last:
                file.end(part.video, part.error)
            if part.error:
                failed.append(part.error)
                _warn(part.error, len(left))
            at = f" {clock(part.scores[-1].end)}" if part.scores else ""
            bar.update(task, advance=part.is_last, note=f"{escape(printable(part.video))}{at}")
    before = f"; {total - len(left)} of {total} videos were done" if len(left) < total else ""
    console.say(f"{count} rows added to {file.path}{before}")
    return failed


def _drawn(parts: Iterable[Part], timeline: Timeline) -> Iterator[Part]:
    for part in parts:
        for scores in part.scores:
            timeline.add(scores)
        yield part


def _print_windows(table: RowsOfModel, parts: Iterable[Part], videos: Sequence[str], *, as_json: bool) -> list[str]:
    """Prints each window as it is done, a line each; returns the errors."""
    failed, shown = [], None
    for part in parts:
        if part.error:
            failed.append(part.error)
            _warn(part.error, len(videos))
            if as_json:
                print(json.dumps({"video": part.video, "error": part.error}, ensure_ascii=False), flush=True)
        for scores in part.scores:
            prediction = ranked(table.pretrained, scores.probabilities, table.top_k)
            if as_json:
                where = {"video": part.video, "start": rounded(scores.start), "end": rounded(scores.end)}
                print(json.dumps({**where, "predictions": _plain(prediction)}, ensure_ascii=False), flush=True)
                continue
            if shown != part.video:
                shown = part.video
                console.say(part.video, style="bold")
            console.say(f"{clock(scores.start):>8} - {clock(scores.end):8} {_in_words(prediction)}")
    return failed


def _in_words(prediction: Prediction) -> str:
    """`97.1% dog, 2.0% cat`; for several heads, each after its name."""
    said = []
    for head, ranking in by_head(prediction).items():
        classes = ", ".join(f"{probability:6.1%} {label}" for label, probability in ranking)
        said.append(f"{head}: {classes}" if head else classes)
    return "; ".join(said)


def _show(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> None:
    """Whole videos, printed."""
    outcomes = []
    with _as_files(videos) as (files, names):
        for outcome in predict_many(pretrained, files, top_k=arguments.top_k or 5, views=arguments.views or WHOLE_VIEWS):
            name = names.get(outcome.video)
            if name:
                outcome = Outcome(name, outcome.prediction, outcome.error and outcome.error.replace(outcome.video, name))
            outcomes.append(outcome)
            if outcome.error:
                _warn(outcome.error, len(videos))
            elif not arguments.json:
                _print(outcome)
    if arguments.json:
        print(json.dumps([_to_dict(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    _tell_failed([outcome.error for outcome in outcomes if outcome.error], len(outcomes))


def _warn(error: str, videos: int) -> None:
    """Names a failure on standard error; that of a single video is how the command ends."""
    if videos > 1:
        print(f"vivit: {in_one_line(error)}", file=sys.stderr)


def _tell_failed(errors: Sequence[str], videos: int) -> None:
    if errors:
        raise UserError(errors[0] if videos == 1 else f"{len(errors)} of {videos} videos could not be classified")


def _to_dict(outcome: Outcome) -> dict:
    if outcome.error:
        return {"video": outcome.video, "error": outcome.error}
    return {"video": outcome.video, "predictions": _plain(outcome.prediction)}


def _plain(prediction: Prediction) -> list[dict] | dict[str, list[dict]]:
    def of_head(ranking: Ranking) -> list[dict]:
        return [{"label": label, "probability": probability} for label, probability in ranking]

    return {head: of_head(ranking) for head, ranking in prediction.items()} if isinstance(prediction, dict) else of_head(prediction)


def _print(outcome: Outcome) -> None:
    console.say(outcome.video, style="bold")
    full = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    table = Table(box=None, show_header=False, padding=(0, 1))
    for head, ranking in by_head(outcome.prediction).items():
        for label, probability in ranking:
            shown = [escape(printable(name)) for name in ([head] if head else [])]
            table.add_row(*shown, f"{probability:6.1%}", full * round(20 * probability), escape(printable(label)))
    console.show(table)
