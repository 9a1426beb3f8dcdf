"""Classifies videos by the average of several views, or each window of time along a video.

Example:
  vivit predict --model runs/digits/model clip.mp4 other.mp4 --top_k 3
  vivit predict --model runs/digits/model clips/ 'more/**/*.mkv' --out predictions.csv
  vivit predict --model runs/digits/model film.mp4 --window 2s --every 1s --out film.csv --plot film.png
  ffmpeg -i rtsp://camera -f matroska - | vivit predict --model runs/digits/model - --window 2s

A VIDEO is a file, a folder (the videos anywhere below it, sorted), a pattern in quotes, or - for a video on standard input.

With --window, each window is scored as if it were a video of its own: its frames are those first shown within it. Times count from the
first frame. Unless --views says otherwise, as many clips as cover the window are averaged, one crop each; a window shorter than a clip
starts over, as a short video does. If less than a tenth of a window is left at the end of the video, it has no row. The video is decoded
once, and memory does not grow with its length.

--out gets a row for each window (or video): video, start, end, label, probability; for several heads also head. Rows of .csv and .jsonl are
written as they are done. The same command resumes after an interruption, and tries failed videos again; FILE.json says how the rows were
made, and a command that would make other rows is refused. A .parquet file (extra parquet) is written when all is done.

If a file cannot be read, the command names it, still classifies the others, and exits with code 2. Files are decoded in separate processes,
so that one that takes too long or too much memory can be stopped.
"""

import argparse

from vivit_jax.commands.arguments import add_model, duration, output_file, positive, views
from vivit_jax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit predict`."""
    add_model(parser)
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help="video files, folders of them, patterns in quotes, or -")
    parser.add_argument("--list", action="append", default=[], metavar="FILE", help="a text file with one VIDEO on each line")
    parser.add_argument("--top_k", type=positive, metavar="K", help="classes to give (default: 5; 1 with --window or --out)")
    parser.add_argument(
        "--views",
        type=views,
        metavar="TxS",
        help="temporal clips x spatial crops that are averaged (default: 4x3; with --window as many clips as cover it x 1)",
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
    parser.add_argument("--out", type=output_file, metavar="FILE", help="write rows to a .csv, .jsonl or .parquet file")
    parser.add_argument("--overwrite", action="store_true", help="begin --out anew instead of resuming it")
    parser.add_argument("--plot", type=output_file, metavar="FILE", help="draw the leading classes over time as .png, .svg or .pdf")


def run(arguments: argparse.Namespace) -> None:
    """Prints the predictions, or writes them.

    Raises:
      UserError: for options that do not fit; after all videos, if one of them could not be classified.
    """
    _check(arguments)
    from vivit_jax.commands.predict_run import predict

    predict(arguments)


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.videos and not arguments.list:
        raise UserError("no video is given: name files, folders, patterns, or - for standard input")
    for option in ("every", "smooth", "plot"):
        if getattr(arguments, option) and not arguments.window:
            raise UserError(f"--{option} needs --window: give that too")
    if arguments.json and arguments.out:
        raise UserError("--json prints and --out writes: give one of them")
    if arguments.overwrite and not arguments.out:
        raise UserError("--overwrite needs --out: give that too")
