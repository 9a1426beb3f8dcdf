"""Trains a video classifier.

Example:
  vivit train --config=configs/motion_digits.py --workdir=runs/digits
  python train.py --config=configs/motion_digits.py --workdir=runs/digits
  vivit train --config=configs/motion_digits.py --workdir=runs/short --config.training.epochs=5
  vivit train --config=configs/video_folder.py --config.data.name=mine --workdir=runs/five --folds 5 --group source

The second line does the same as the first from a checkout, the third changes a key, and the fourth cross-validates. Without
`--processes`, the processes of a Slurm or Open MPI 4 job (one for each GPU), of an indexed Kubernetes job or of a TPU slice find each
other; `--processes=1` makes a process there run alone.

Exit codes: 0 done, 1 stopped for the reason printed, 2 bad input, 143 interrupted with everything saved: by SIGTERM, SIGINT, SIGHUP or
SIGUSR1, or because nobody reads the output any more. A second signal ends the run at once; the newest checkpoint is kept.
"""

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from vivit_jax import console
from vivit_jax.commands.arguments import positive, whole
from vivit_jax.commands.config_arguments import add_config, experiment_of
from vivit_jax.errors import Stopped, UserError, in_one_line

TAKES_CONFIG = True
OF_FOLDS = ("data.train_split", "data.val_split", "data.test_split")  # keys that --folds sets
HANDLES_SIGNALS = True  # the first signal saves, see vivit_jax.runs.stopping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit train`."""
    add_config(parser)
    parser.add_argument(
        "--workdir", "-workdir", metavar="DIR", help="folder for everything the run writes; the same folder again resumes the run"
    )
    parser.add_argument(
        "--restart",
        "-restart",
        type=_switch,
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        help="move aside what an earlier run left in the work directory, and begin again",
    )
    parser.add_argument("--norestart", dest="restart", action="store_false", help=argparse.SUPPRESS)
    folds = parser.add_argument_group("cross-validation: a run for each fold in WORKDIR/fold-I, and their scores in WORKDIR/folds.json")
    folds.add_argument("--folds", type=positive, metavar="K", help="divide all clips of the data set into K folds, each tested once")
    folds.add_argument(
        "--group", metavar="COLUMN", help="column of clips.csv whose values keep clips together in a fold (default: group, or else source)"
    )
    folds.add_argument("--fold_seed", type=whole, default=0, metavar="N", help="another seed makes other folds (default: %(default)s)")
    folds.add_argument(
        "--fold_validation", action="store_true", help="leave the fold after the tested one out of training too: it chooses the model"
    )
    hosts = parser.add_argument_group("several processes, on one host or several")
    hosts.add_argument("--coordinator", "-coordinator", metavar="HOST:PORT", help="address of the first process")
    hosts.add_argument("--processes", "-processes", type=whole, metavar="N", help="number of processes")
    hosts.add_argument("--process", "-process", type=whole, metavar="I", help="number of this process, from 0")


def run(arguments: argparse.Namespace) -> None:
    """Trains and tests.

    Raises:
      UserError: for anything in the experiment that cannot work.
      Stopped: where the run ends early.
    """
    from vivit_jax.runs.folds import FoldPlan, train_folds
    from vivit_jax.runs.stopping import leave_at_once
    from vivit_jax.runs.train import train
    from vivit_jax.training.feed import hangs

    for name in ("config", "workdir"):
        if not getattr(arguments, name):
            raise UserError(f"--{name} is missing (see --help)")
    options = {
        "restart": arguments.restart,
        "coordinator": arguments.coordinator,
        "processes": arguments.processes,
        "process": arguments.process,
        "again": f"the same command resumes: {as_typed(arguments.argv)}",
    }
    if not arguments.folds and (arguments.group or arguments.fold_seed or arguments.fold_validation):
        raise UserError("--group, --fold_seed and --fold_validation have no effect without --folds")
    if arguments.folds and (own := [key for key in OF_FOLDS if key in arguments.overrides]):
        raise UserError(f"--folds divides all clips of the data set, whatever their splits: leave --config.{own[0]} out")
    try:
        if arguments.folds:
            plan = FoldPlan(arguments.folds, arguments.group, arguments.fold_seed, arguments.fold_validation)
            print_folds(train_folds(experiment_of(arguments), arguments.workdir, plan, **options), Path(arguments.workdir))
        else:
            train(experiment_of(arguments), arguments.workdir, **options)
    except (Stopped, UserError) as error:
        if hangs():  # a reading thread, and the interpreter would wait for it
            print(f"{arguments.program}: {in_one_line(error)}", file=sys.stderr)
            leave_at_once(error.exit_code)
        raise


def print_folds(result: dict, workdir: Path) -> None:
    """Prints the scores of each fold, and what they say together."""
    from vivit_jax.runs.folds import RESULT

    names = [name for name in result["mean"] if name != "top5" or result["mean"]["top5"] < 1]  # of up to five classes it is always 1
    table = Table("fold", box=None)
    for title in ("train", "test", *names):
        table.add_column(title, justify="right")
    for run in result["runs"]:
        table.add_row(str(run["fold"]), str(run["train"]), str(run["test"]), *(f"{run['scores'][name]:.4f}" for name in names))
    for row in ("mean", "std"):
        table.add_row(row, "", "", *(f"{result[row][name]:.4f}" for name in names), style="bold")
    for end, side in ((0, "from"), (1, "to")):
        table.add_row(f"95 % {side}", "", "", *(f"{result['interval'][name][end]:.4f}" for name in names))
    console.show(table)
    pooled = result["pooled"]
    console.say(f"all folds together: top1 {pooled['top1']:.4f} ({pooled['hits']} of {pooled['examples']})", style="bold")
    console.say(f"scores written to {workdir / RESULT}")


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {text!r}")
    return text.lower() == "true"


def as_typed(argv: Sequence[str]) -> str:
    """The command line for the user to repeat, without `--restart`, which is meant once."""
    typed = sys.orig_argv
    if typed[len(typed) - len(argv) :] != list(argv):  # called from Python
        return shlex.join(["python", "train.py", *_repeated(argv)])
    python, *rest = typed[: len(typed) - len(argv)]
    program = Path(rest[0]).name if rest else ""
    if program and shutil.which(program) and Path(shutil.which(program)).resolve() == Path(rest[0]).resolve():
        return shlex.join([program, *rest[1:], *_repeated(argv)])  # a script that is found by its name
    return shlex.join([Path(python).name, *rest, *_repeated(argv)])


def _repeated(argv: Sequence[str]) -> list[str]:
    kept, switch = [], False
    for argument in argv:
        value_of_switch = switch and argument.lower() in ("true", "false")
        switch = argument in ("--restart", "-restart")
        if not (switch or value_of_switch or argument.startswith(("--restart=", "-restart="))):
            kept.append(argument)
    return kept
