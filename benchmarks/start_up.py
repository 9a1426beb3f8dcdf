"""Seconds from the command to the first step, cold and warm: a few steps of motion_digits, twice, over one compilation cache.

  python benchmarks/start_up.py
  python benchmarks/start_up.py --config configs/drone_ir.py --rounds 3 -- --config.data.data_dir=data

The data set is made beforehand, and what follows `--` goes to `train.py`. Cold is with an empty cache; what the operating system has read
of the libraries stays in its memory, so the first of several rounds may be slower.
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=ROOT / "configs" / "motion_digits.py")
    parser.add_argument("--rounds", type=int, default=1, help="the median counts")
    parser.add_argument("flags", nargs="*", help="further flags of train.py")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start(arguments, pathlib.Path(folder), "before")  # makes the data set
        figures = [
            {name: start(arguments, pathlib.Path(folder), str(number)) for name in ("cold", "warm")} for number in range(arguments.rounds)
        ]
    for name in ("cold", "warm"):
        first, whole = (statistics.median(figure[name][i] for figure in figures) for i in range(2))
        print(f"{name}  {first:6.1f} s to the first step  {whole:6.1f} s to the end of {STEPS}  ({figures[-1][name][2]})")


def start(arguments: argparse.Namespace, folder: pathlib.Path, cache: str) -> tuple[float, float, str]:
    """Seconds to the line that tells of the first step, seconds to the end, and what the line says of compiling."""
    command = [sys.executable, ROOT / "train.py", f"--config={arguments.config}", f"--workdir={tempfile.mkdtemp(dir=folder)}"]
    command += [f"--config.training.steps={STEPS}", "--config.data.val_split=None", "--config.data.test_split=None"]
    command += ["--config.schedule.warmup_epochs=0", f"--config.training.compilation_cache={folder / cache}", *arguments.flags]
    begin, first, said = time.perf_counter(), None, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as run:
        for line in run.stdout:
            said.append(line)
            if found := re.match(r"first step .* after the start, (.*)", line):
                first, compiled = time.perf_counter() - begin, found.group(1)
    if run.returncode or first is None:
        raise SystemExit(f"train.py ended with {run.returncode}:\n{''.join(said)}")
    return first, time.perf_counter() - begin, compiled


if __name__ == "__main__":
    main()
