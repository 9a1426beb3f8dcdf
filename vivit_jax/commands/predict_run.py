"""Runs `vivit predict` once its options are read. This is a module of its own so that the command's help need not wait for JAX."""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.predict_output import print_videos, print_windows, tell_failed, write_rows
from vivit_jax.data.sources import check_standard_input, find_videos, standard_input_as_file
from vivit_jax.data.video.streaming import STANDARD_INPUT
from vivit_jax.errors import UserError, printable
from vivit_jax.inference.predict import Outcome, predict_many
from vivit_jax.inference.row_files import RowFile, check_suffix, open_rows
from vivit_jax.inference.rows import RowsOfModel, fingerprint
from vivit_jax.inference.timeline import Timeline, check_format
from vivit_jax.inference.video_scores import Part, score_along, score_whole
from vivit_jax.inference.windows import WindowScorer
from vivit_jax.training.devices.compilation import use_usual_cache
from vivit_jax.weights import Pretrained, from_pretrained

WHOLE_VIEWS = (4, 3)
COVERING = "as many clips as cover a window"


def predict(arguments: argparse.Namespace) -> None:
    """Prints the predictions, or writes them.

    Raises:
      UserError: for files that cannot be written or found; after all videos, if one of them could not be classified.
    """
    if arguments.out:
        check_suffix(arguments.out)
    if arguments.plot:
        check_format(arguments.plot)
    sources = find_videos(arguments.videos, arguments.list)
    if STANDARD_INPUT in sources.videos:
        check_standard_input()
    if arguments.plot and len(sources.videos) > 1:
        raise UserError(f"--plot draws one video, got {len(sources.videos)}")
    if sources.remark:
        print(f"vivit: {printable(sources.remark)}", file=sys.stderr)
    with console.beside_results() if arguments.json else contextlib.nullcontext():
        tell_of_unused_gpu()
        use_usual_cache()
        pretrained = from_pretrained(arguments.model)
        if arguments.window or arguments.out:
            videos = tuple(dict.fromkeys(sources.videos))  # rows of a video named twice would be there twice
            failed = (_score_windows if arguments.window else _write_whole)(arguments, pretrained, videos)
        else:
            videos = sources.videos
            failed = _print_whole(arguments, pretrained, videos)
    tell_failed(failed, len(videos))


def _score_windows(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> list[str]:
    """Scores windows along the videos, and writes or prints them; returns the errors."""
    table, every = RowsOfModel(pretrained, arguments.top_k or 1), arguments.every or arguments.window
    with contextlib.ExitStack() as stack:
        how = {"window": arguments.window, "every": every, "smooth": arguments.smooth, "views": arguments.views or COVERING}
        file = stack.enter_context(_opened(arguments, table, how, every)) if arguments.out else None
        first = _first(file, videos) if file else {}
        # A picture needs the scores of all classes, also of windows whose rows are there already.
        again = {} if arguments.plot else first
        left = [video for video in videos if again.get(video, 0) is not None]
        scorer = WindowScorer(pretrained, arguments.window, every, views=arguments.views, standard_input=STANDARD_INPUT in videos)
        parts = score_along(stack.enter_context(scorer), left, smooth=arguments.smooth, first=again)
        if arguments.plot:
            parts = _drawing(parts, Timeline(pretrained.labels), arguments.plot)
        if file:
            return write_rows(file, table, parts, first, total=len(videos), done=len(videos) - len(left))
        return print_windows(table, parts, total=len(videos), as_json=arguments.json)


def _write_whole(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> list[str]:
    """Scores whole videos and writes their rows; returns the errors."""
    table, views = RowsOfModel(pretrained, arguments.top_k or 1), arguments.views or WHOLE_VIEWS
    with _opened(arguments, table, {"views": views}, None) as file:
        left = [video for video, first in _first(file, videos).items() if first is not None]
        with _as_files(left) as (files, names):
            scored = score_whole(pretrained, files, views=views)
            parts = (_renamed(part, names) for part in scored)
            return write_rows(file, table, parts, {}, total=len(videos), done=len(videos) - len(left))


def _print_whole(arguments: argparse.Namespace, pretrained: Pretrained, videos: Sequence[str]) -> list[str]:
    """Scores whole videos and prints them; returns the errors."""
    with _as_files(videos) as (files, names):
        outcomes = predict_many(pretrained, files, top_k=arguments.top_k or 5, views=arguments.views or WHOLE_VIEWS)
        return print_videos((_renamed(outcome, names) for outcome in outcomes), total=len(videos), as_json=arguments.json)


def _opened(arguments: argparse.Namespace, table: RowsOfModel, how: dict, every: float | None) -> RowFile:
    made = {"model_sha256": fingerprint(table.pretrained), "top_k": table.top_k, **how}
    return open_rows(arguments.out, table, made, every=every, overwrite=arguments.overwrite)


def _first(file: RowFile, videos: Sequence[str]) -> dict[str, int | None]:
    """The first window of each video whose rows are not in the file; None where all are.

    Raises:
      UserError: for rows of standard input, where another video comes this time.
    """
    first = {video: file.first(video) for video in videos}
    if first.get(STANDARD_INPUT, 0) != 0:
        told = f"{file.path} has rows of standard input, which cannot be read again from where they end"
        raise UserError(f"{told}: give another --out, or --overwrite to begin anew")
    return first


def _drawing(parts: Iterable[Part], timeline: Timeline, out: pathlib.Path) -> Iterator[Part]:
    """Passes parts of videos on, and draws the timeline of a video after its last part."""
    for part in parts:
        for scores in part.scores:
            timeline.add(scores)
        yield part
        if part.is_last and timeline.save(out, pathlib.PurePath(part.video).name):
            print(f"scores over time drawn in {printable(str(out))}", file=sys.stderr)


@contextlib.contextmanager
def _as_files(videos: Sequence[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yields the videos with standard input read into a temporary file, and the name by which that file was given."""
    if STANDARD_INPUT not in videos:
        yield list(videos), {}
        return
    with standard_input_as_file() as file:
        yield [file if video == STANDARD_INPUT else video for video in videos], {file: STANDARD_INPUT}


def _renamed(result: Part | Outcome, names: dict[str, str]) -> Part | Outcome:
    """The result under the name that the user knows, where the video was read from a temporary file."""
    name = names.get(result.video)
    error = result.error and name and result.error.replace(result.video, name)
    return dataclasses.replace(result, video=name, error=error) if name else result
