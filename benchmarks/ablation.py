"""Trains configs with several seeds each, and sets their test scores beside each other, as a table and a plot.

  python benchmarks/ablation.py --json ablation.json --workdirs runs/ablation --seeds 0 1 2 --parallel 3 \\
      --configs configs/drone_ir_ablation.py:{augmentation,image_weights,stochastic_depth,randaugment,label_smoothing,mixup} \\
      -- --config.data.data_dir=data
  python benchmarks/ablation.py --json ablation.json --table ablation.md --plot ablation.svg

What follows `--` goes to `train.py` for every config, and `--source FILE` (the image weights) for all but those named `--from_scratch`.
Runs that share a GPU share its memory in equal parts. The first seed of all configs comes first. A run that is finished, or whose score
the JSON holds, is not made again, and one that was interrupted goes on, so the same command picks up what `--seconds` or Ctrl-C cut short.
A config that was changed needs another JSON and other work directories.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
GPU_SHARE = 0.9
GRACE = 30.0  # seconds that an interrupted run has to save what it did


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, required=True, help="the scores; written after each run")
    parser.add_argument(
        "--configs", nargs="*", default=[], metavar="FILE.py[:ARG]", help="what to train; none, to draw what the JSON holds"
    )
    parser.add_argument("--workdirs", type=pathlib.Path, help="the folder of their work directories")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--source", help="init.source of the configs")
    parser.add_argument(
        "--from_scratch", nargs="*", default=["scratch", "augmentation"], metavar="ARG", help="arguments that take no source"
    )
    parser.add_argument("--parallel", type=int, default=1, help="runs at once")
    parser.add_argument("--stagger", type=float, default=0.0, help="seconds between the first runs, so that later ones find steps compiled")
    parser.add_argument("--timeout", type=float, help="seconds that one run may take")
    parser.add_argument("--seconds", type=float, help="seconds that all may take")
    parser.add_argument("--table", type=pathlib.Path, help="writes a table in Markdown")
    parser.add_argument("--plot", type=pathlib.Path, help="draws means, spreads and single seeds")
    parser.add_argument(
        "--references", nargs="*", type=reference, default=[], metavar="NAME=TOP1", help="lines of the plot to compare with"
    )
    parser.add_argument("flags", nargs="*", help="further flags of train.py")
    arguments = parser.parse_args()
    if arguments.configs:
        Campaign(arguments).run()
    if not arguments.json.is_file():
        raise SystemExit(f"{arguments.json} has no scores: no run was finished")
    scores = json.loads(arguments.json.read_text())
    if arguments.table:
        arguments.table.write_text(table(scores))
    if arguments.plot:
        plot(scores, arguments.plot, dict(arguments.references))
    print(table(scores))


class Campaign:
    """All runs of a call."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.deadline = time.monotonic() + (arguments.seconds or float("inf"))
        self.scores = json.loads(arguments.json.read_text()) if arguments.json.is_file() else {}
        self._lock = threading.Lock()

    def run(self) -> None:
        """Trains whatever has no score yet, `parallel` runs at a time."""
        runs = [(config, seed) for seed in self.arguments.seeds for config in self.arguments.configs]
        with concurrent.futures.ThreadPoolExecutor(self.arguments.parallel) as pool:
            results = [pool.submit(self._train, number, *run) for number, run in enumerate(runs)]
            try:
                for result in concurrent.futures.as_completed(results):
                    print(result.result(), flush=True)
            except KeyboardInterrupt:  # which the runs have had too
                pool.shutdown(cancel_futures=True)
                raise

    def _train(self, number: int, config: str, seed: int) -> str:
        """Makes one run; a line that tells how it ended."""
        name = config_name(config)
        if str(seed) in self.scores.get(name, {}):
            return f"{name} seed {seed}: scored before"
        workdir = self.arguments.workdirs / f"{name}_{seed}"
        scores, start = workdir / "evaluation.json", time.monotonic()
        if not scores.is_file():
            if number < self.arguments.parallel:
                time.sleep(number * self.arguments.stagger)
            ended = self._launch(config, seed, workdir)
            if not scores.is_file():
                return f"{name} seed {seed}: {ended}"
        self._keep(name, seed, json.loads(scores.read_text()), round(time.monotonic() - start, 1))
        return f"{name} seed {seed}: {self.scores[name][str(seed)]}"

    def _launch(self, config: str, seed: int, workdir: pathlib.Path) -> str:
        left = min(self.deadline - time.monotonic(), self.arguments.timeout or float("inf"))
        if left <= 0:
            return "not begun: the time is up"
        workdir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, ROOT / "train.py", f"--config={config}", f"--workdir={workdir}", f"--config.seed={seed}"]
        if self.arguments.source and config.partition(":")[2] not in self.arguments.from_scratch:
            command.append(f"--config.init.source={self.arguments.source}")
        share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{GPU_SHARE / self.arguments.parallel:.3f}"} | os.environ
        with (workdir / "log.txt").open("a") as log:
            run = subprocess.Popen([*command, *self.arguments.flags], stdout=log, stderr=subprocess.STDOUT, env=share)
            try:
                return f"ended with {run.wait(None if left == float('inf') else left)}, see {log.name}"
            except subprocess.TimeoutExpired:
                run.terminate()  # it saves its state, and goes on when it is called again
                return f"interrupted, {stopped(run)}"

    def _keep(self, name: str, seed: int, evaluation: dict, seconds: float) -> None:
        """Adds a score to the JSON, whose rows are in the order of the configs."""
        with self._lock:
            score = {key: evaluation[key] for key in ("top1", "hits", "examples", "views")}
            self.scores.setdefault(name, {})[str(seed)] = score | {"seconds": seconds}
            wanted = [config_name(config) for config in self.arguments.configs]
            known = {name: self.scores[name] for name in dict.fromkeys([*wanted, *self.scores]) if name in self.scores}
            self.arguments.json.write_text(json.dumps(known, indent=2) + "\n")


def config_name(config: str) -> str:
    """`configs/drone_ir_ablation.py:mixup` as `drone_ir_ablation_mixup`."""
    path, _, argument = config.partition(":")
    return "_".join([pathlib.Path(path).stem, *([argument] if argument else [])])


def stopped(run: subprocess.Popen) -> str:
    """Waits for a run that was asked to stop, and ends one that does not."""
    try:
        return f"with {run.wait(GRACE)}"
    except subprocess.TimeoutExpired:
        run.kill()
        return f"then killed: it had not saved within {GRACE:g} s"


def reference(text: str) -> tuple[str, float]:
    """`linear probe=0.707` as a name and a score."""
    name, _, top1 = text.rpartition("=")
    return name, float(top1)


def table(scores: dict) -> str:
    """A row for each config: mean and standard deviation (n - 1) of test top-1 over its seeds, how many, and the hits of each."""
    lines = ["| | test top-1 | spread | seeds | hits by seed | of |", "|---|---|---|---|---|---|"]
    for name, seeds in scores.items():
        top1, hits = [seeds[seed]["top1"] for seed in sorted(seeds, key=int)], [str(seeds[seed]["hits"]) for seed in sorted(seeds, key=int)]
        spread = f"{statistics.stdev(top1):.3f}" if len(top1) > 1 else "-"
        examples = next(iter(seeds.values()))["examples"]
        lines.append(f"| {name} | {statistics.mean(top1):.3f} | {spread} | {len(top1)} | {', '.join(hits)} | {examples} |")
    return "\n".join(lines) + "\n"


def plot(scores: dict, path: pathlib.Path, references: dict[str, float]) -> None:
    """A point for each seed, and the mean with its standard deviation, one config under the other; a line for each reference."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 1.2 + 0.48 * len(scores)), layout="constrained")
    axes = figure.subplots()
    small = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
    for name, top1 in references.items():
        axes.axvline(top1, color="#6b7280", linewidth=1, linestyle=":")
        axes.annotate(f"{name} {top1:.3f}", (top1, 1), (0, 4), xycoords=("data", "axes fraction"), **small)
    for row, seeds in enumerate(scores.values()):
        top1 = [score["top1"] for score in seeds.values()]
        mean, spread = statistics.mean(top1), statistics.stdev(top1) if len(top1) > 1 else None
        axes.errorbar(mean, row, xerr=spread, fmt="D", color="#2563eb", capsize=4, label="" if row else "mean, standard deviation")
        below = [row + 0.24] * len(top1)  # where the mean does not hide them
        axes.plot(top1, below, "o", color="#d97706", alpha=0.6, markeredgewidth=0, label="" if row else "one seed (darker: several)")
        axes.annotate(f"{mean:.3f}", (mean, row), (0, 7), **small)
    labels = [
        f"{name}\n{len(seeds)} seed{'s' * (len(seeds) > 1)}" for name, seeds in zip(short_names(scores), scores.values(), strict=True)
    ]
    axes.set_yticks(range(len(scores)), labels)
    axes.set_ylim(len(scores) - 0.5, -0.6)
    axes.set_xlabel("test top-1")
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    with matplotlib.rc_context({"svg.hashsalt": "vivit_jax"}):  # the same scores, the same file
        figure.savefig(path, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)


def short_names(scores: dict) -> list[str]:
    """The configs' names without the words that all of them begin with."""
    words = [name.split("_") for name in scores]
    columns = zip(*(name[:-1] for name in words), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    return ["_".join(name[shared:]) for name in words]


if __name__ == "__main__":
    main()
