"""Do training runs that are interrupted at random for half an hour end with the bits of runs that nobody disturbed?

  python benchmarks/soak.py --minutes 30 --json soak.json

Two runs go on at a time, one under `jit` over two virtual devices and one under `pmap`. Each is sent SIGKILL, SIGTERM or SIGINT after a
random time and started again by the same command; where one comes to its end another begins. When the time is up both run to their end,
and every bit is compared with that of an undisturbed run of the same seed: parameters and optimiser state, the rows of metrics.jsonl, the
model directories, the scores.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import time

from script import add_json, make_parser, write_json
from subprocesses import ROOT, TRAIN

from vivit_jax.runs.clock import TIMING_KEYS

MODES = {"jit": ["--config.parallel.mode=jit", "--config.parallel.data=2"], "pmap": ["--config.parallel.mode=pmap"]}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Exit codes after each signal. The negative ones of SIGTERM and SIGINT are those of an interpreter that has not begun, or is leaving.
EXPECTED = {"SIGKILL": (-9,), "SIGTERM": (143, -15), "SIGINT": (143, 130, -2)}
START = "--- start"
EVALUATE_EVERY, SAVE_EVERY = 40, 20
FLAGS = [
    f"--config={ROOT / 'configs' / 'motion_digits.py'}",
    "--config.model.hidden_size=32",
    "--config.model.num_layers=2",
    "--config.model.temporal_layers=1",
    "--config.model.dropout=0.1",
    "--config.data.train_split=train[:10%]",
    "--config.data.val_split=val[:5%]",
    "--config.data.test_split=test[:5%]",
    "--config.training.batch_size=8",
    "--config.training.ema_decay=0.99",
    "--config.training.log_every=1",
    f"--config.evaluation.every_steps={EVALUATE_EVERY}",
    f"--config.checkpoint.every_steps={SAVE_EVERY}",
]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One interruption.

    Attributes:
      mode: `jit` or `pmap`.
      run: name of its work directory.
      signal: the name of the signal.
      phase: what the run was doing, by its output and its files.
      code: the exit code of the process.
      seconds: time from the signal to the end of the process.
    """

    mode: str
    run: str
    signal: str
    phase: str
    code: int
    seconds: float


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the runs are interrupted (default 30)")
    parser.add_argument("--every", type=float, nargs=2, default=(10.0, 60.0), metavar=("MIN", "MAX"), help="seconds between signals")
    parser.add_argument("--steps", type=int, default=600, help="steps of each run (default 600)")
    parser.add_argument("--seed", type=int, default=0, help="seed that draws the signals and their times (default 0)")
    parser.add_argument("--folder", type=pathlib.Path, help="where the runs lie (default: a temporary folder)")
    add_json(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        report = soak(arguments, arguments.folder or pathlib.Path(temporary))
    write_json(arguments.json, report)
    print_report(report)
    if not all(all(same.values()) for same in report["equal"].values()):
        raise SystemExit("a run that was interrupted differs from one that was not")


def soak(arguments: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Runs both modes undisturbed, then disturbed; the trials, and for each disturbed run and artefact whether it is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(MODES)) as pool:
        for code in pool.map(lambda mode: start(mode, "whole", arguments, folder).wait(), MODES):
            if code:
                raise SystemExit(f"an undisturbed run ended with {code}: see {folder}/*.log")
        end = time.monotonic() + 60 * arguments.minutes
        trials = [trial for trials in pool.map(lambda mode: disturb(mode, arguments, folder, end), MODES) for trial in trials]
    return {
        "minutes": arguments.minutes,
        "steps": arguments.steps,
        "trials": [dataclasses.asdict(trial) for trial in trials],
        "equal": {run.name: compare(run, folder / f"{mode}_whole") for mode in MODES for run in _disturbed(folder, mode)},
    }


def _disturbed(folder: pathlib.Path, mode: str) -> list[pathlib.Path]:
    """The work directories of the runs of a mode that were interrupted."""
    return sorted(path for path in folder.glob(f"{mode}_disturbed_*") if path.is_dir())


def start(mode: str, name: str, arguments: argparse.Namespace, folder: pathlib.Path) -> subprocess.Popen:
    """`train.py` in a process of its own; its output is added to a log beside its work directory."""
    workdir = folder / f"{mode}_{name}"
    command = [*TRAIN, f"--workdir={workdir}", *FLAGS, *MODES[mode]]
    command += [f"--config.training.steps={arguments.steps}", f"--config.data.data_dir={folder / f'data_{mode}'}"]
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONUNBUFFERED": "1",
    }
    with folder.joinpath(f"{mode}_{name}.log").open("a") as log:
        log.write(f"{START} {time.time():.1f}\n")
        log.flush()
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def disturb(mode: str, arguments: argparse.Namespace, folder: pathlib.Path, end: float) -> list[Trial]:
    """Interrupts a run until `end`, then lets it finish; begins another in a new directory where one finishes before."""
    draw, trials, number = random.Random(f"{arguments.seed} {mode}"), [], 0
    while True:
        name, begun = f"disturbed_{number}", time.time()
        process = start(mode, name, arguments, folder)
        pause, kind = draw.uniform(*arguments.every), draw.choice(SIGNALS)
        if time.monotonic() + pause >= end:
            if code := process.wait():
                raise SystemExit(f"the {mode} run ended with {code} when nobody disturbed it: see {folder}")
            return trials
        try:
            code = process.wait(pause)
        except subprocess.TimeoutExpired:
            log = (folder / f"{mode}_{name}.log").read_text().rpartition(START)[2]
            phase, sent = phase_of(log, is_saving=saving(folder / f"{mode}_{name}", begun)), time.monotonic()
            process.send_signal(kind)
            code = process.wait(300)
            trials.append(Trial(mode, f"{mode}_{name}", kind.name, phase, code, time.monotonic() - sent))
            print(f"{mode} {number}: {kind.name} while {phase}: exit code {code}", flush=True)
            if code not in (0, *EXPECTED[kind.name]):
                raise SystemExit(f"the {mode} run ended with {code} after {kind.name}: see {folder / f'{mode}_{name}.log'}") from None
        else:
            if code:
                raise SystemExit(f"the {mode} run ended with {code} before it was disturbed: see {folder / f'{mode}_{name}.log'}")
        number += finished(folder / f"{mode}_{name}.log")


def finished(log: pathlib.Path) -> bool:
    """Whether the newest process of a run came to its last line; what is then left to interrupt is the end of the interpreter."""
    return phase_of(log.read_text().rpartition(START)[2], is_saving=False) == "leaving"


def saving(workdir: pathlib.Path, begun: float) -> bool:
    """Whether a save is under way in a process that began then: one that was killed leaves its mark behind."""
    for mark in (workdir / "checkpoints").glob(".*.saving"):
        with contextlib.suppress(FileNotFoundError):  # whole in the meantime
            if mark.stat().st_mtime >= begun:
                return True
    return False


def phase_of(log: str, *, is_saving: bool) -> str:
    """What a process is doing, by what it has said so far."""
    if re.search(r"^report  ", log, re.MULTILINE):
        return "leaving"
    if is_saving:
        return "saving"
    if "compiling the step" in log and "first step" not in log:
        return "compiling"
    lines = re.findall(r"^step (\d+)/(\d+)  (\w+)", log, re.MULTILINE)
    if not lines:
        return ended_before(log) or ("training" if "first step" in log else "starting")
    step, total, what = int(lines[-1][0]), int(lines[-1][1]), lines[-1][2]
    if step == total and what == "val":
        return "testing"
    return "evaluating" if step % EVALUATE_EVERY == 0 and what != "val" else "training"


def ended_before(log: str) -> str | None:
    """`testing` where the process took up a run whose last step was taken."""
    return "testing" if re.search(r"^resuming after step (\d+) of \1\b", log, re.MULTILINE) else None


def compare(disturbed: pathlib.Path, whole: pathlib.Path) -> dict[str, bool]:
    """For each artefact whether the two runs have the same."""
    return {
        "checkpoint (parameters, optimiser, averages)": states_equal(disturbed, whole),
        "metrics.jsonl": rows(disturbed) == rows(whole),
        "model/": (disturbed / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes(),
        "evaluation.json": (disturbed / "evaluation.json").read_bytes() == (whole / "evaluation.json").read_bytes(),
    }


def rows(workdir: pathlib.Path) -> list[dict]:
    """The rows of a run's metrics without what depends on the machine's speed."""
    parsed = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMING_KEYS} for row in parsed]


def states_equal(disturbed: pathlib.Path, whole: pathlib.Path) -> bool:
    """Whether every array of the newest checkpoints has the same bits."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    def state(workdir: pathlib.Path) -> list:
        newest = max((path for path in (workdir / "checkpoints").iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
        path = (newest / "state").absolute()
        with ocp.PyTreeCheckpointer() as checkpointer:
            saved = checkpointer.metadata(path).item_metadata.tree
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), saved)
            arrays = checkpointer.restore(path, args=ocp.args.PyTreeRestore(item=saved, restore_args=as_numpy))
        return jax.tree_util.tree_leaves_with_path(arrays)

    pairs = zip(state(disturbed), state(whole), strict=True)
    return all(path == other and np.asarray(a).tobytes() == np.asarray(b).tobytes() for (path, a), (other, b) in pairs)


def print_report(report: dict) -> None:
    """Trials by signal and phase, then what is equal."""
    counted = collections.Counter((trial["signal"], trial["phase"]) for trial in report["trials"])
    phases = sorted({phase for _, phase in counted})
    print("| signal | " + " | ".join(phases) + " | all |\n|---|" + "---|" * (len(phases) + 1))
    for name in (kind.name for kind in SIGNALS):
        row = [counted[name, phase] for phase in phases]
        print(f"| {name} | " + " | ".join(map(str, [*row, sum(row)])) + " |")
    codes = collections.Counter((trial["signal"], trial["code"]) for trial in report["trials"])
    print("exit codes:", ", ".join(f"{name} {code}: {count}" for (name, code), count in sorted(codes.items())))
    for name, same in report["equal"].items():
        print(f"{name}: " + ", ".join(f"{what} {'equal' if equal else 'DIFFERS'}" for what, equal in same.items()))


if __name__ == "__main__":
    main()
