"""Compares runs that were evaluated on the same videos: scores with intervals, paired tests, costs, and where they disagree.

Example:
  vivit compare runs/vivit runs/resnet --out comparison
  vivit compare runs/a runs/b runs/c --baseline runs/a --ensemble
  vivit compare runs/a runs/b --split val --views 4x3 --no_speed
  vivit compare runs/a runs/b --groups clips.csv --group flight

A run is a work directory, a model directory with an evaluation in it, an evaluation file, or a folder that holds one. With --out, DIR gets
compare.html, compare.md and compare.json. docs/comparing.md says what each figure means, and when it misleads.
"""

import argparse
import typing

import rich.table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_views, output, positive, whole
from vivit_jax.statistics.bootstrap import RESAMPLES, SEED

if typing.TYPE_CHECKING:
    from vivit_jax.runs.comparison.tables import Table

BATCH_SIZE = 8
PAIRS_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit compare`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a work directory, a model directory, or an evaluation")
    parser.add_argument("--out", type=output, metavar="DIR", help="folder for compare.html, compare.md and compare.json")
    parser.add_argument("--baseline", metavar="RUN", help="compare every run with this one, instead of each with each")
    parser.add_argument("--split", help="use the evaluations on this split (default: each run's own test)")
    add_views(parser, default=None, otherwise="those of each run's own test")
    parser.add_argument(
        "--groups", metavar="FILE.csv", help="csv of the videos' names and groups; whole groups are drawn (default: the data set's groups)"
    )
    parser.add_argument("--group", metavar="COLUMN", help="column of --groups (default: group)")
    parser.add_argument("--by_video", action="store_true", help="draw single videos even if the data set has groups")
    parser.add_argument("--ensemble", action="store_true", help="add a run: the mean of all runs' probabilities")
    parser.add_argument("--no_speed", action="store_true", help="do not measure speed and memory")
    parser.add_argument(
        "--batch_size",
        type=positive,
        default=BATCH_SIZE,
        metavar="N",
        help=f"views in a batch when measuring speed (default: {BATCH_SIZE})",
    )
    parser.add_argument("--data_dir", metavar="DIR", help="folder of prepared data sets (default: the runs' own)")
    parser.add_argument(
        "--resamples", type=positive, default=RESAMPLES, metavar="N", help=f"number of bootstrap draws (default: {RESAMPLES:,})"
    )
    parser.add_argument("--seed", type=whole, default=SEED, metavar="N", help=f"seed of the draws (default: {SEED})")


def run(arguments: argparse.Namespace) -> None:
    """Compares, prints both tables and writes the files.

    Raises:
      UserError: for runs that do not exist or cannot be compared.
    """
    from vivit_jax.runs.comparison.compare import compare
    from vivit_jax.runs.comparison.tables import method, pairs_table, runs_table, verdict

    if not arguments.no_speed:
        tell_of_unused_gpu()
    with console.waiting("comparing"):
        comparison = compare(
            arguments.runs,
            out=arguments.out,
            baseline=arguments.baseline,
            split=arguments.split,
            views=arguments.views,
            groups=arguments.groups,
            group=arguments.group,
            by_video=arguments.by_video,
            ensemble=arguments.ensemble,
            speed=not arguments.no_speed,
            batch_size=arguments.batch_size,
            data_dir=arguments.data_dir,
            resamples=arguments.resamples,
            seed=arguments.seed,
        )
    console.say(f"{comparison.title}, {len(comparison.predictions.videos):,} videos")
    _show(runs_table(comparison), len(comparison.entries))
    _show(pairs_table(comparison), PAIRS_SHOWN)
    console.say(verdict(comparison), style="bold")
    for sentence in method(comparison):
        console.say(sentence)
    if arguments.out:
        console.say(f"written to {arguments.out}: compare.html, compare.md, compare.json")


def _show(table: "Table", most: int) -> None:
    shown = rich.table.Table(box=None, pad_edge=False)
    for column in table.columns:
        shown.add_column(console.verbatim(column.title), justify="right" if column.number else "left")
    for number, row in enumerate(table.rows[:most]):
        shown.add_row(*map(console.verbatim, row), style="bold" if number in table.marked else None)
    console.show(shown)
    if len(table.rows) > most:
        console.say(f"(the first {most} of {len(table.rows)})")
