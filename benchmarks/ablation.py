"""What are the test scores of several configs, over seeds? Trains them, and makes a table and a plot.

  python benchmarks/ablation.py --json ablation.json --workdirs runs/ablation --seeds 0 1 2 --parallel 3 \\
      --configs configs/drone_ir_ablation.py:{augmentation,image_weights,stochastic_depth,randaugment,label_smoothing,mixup} \\
      -- --config.data.data_dir=data
  python benchmarks/ablation.py --json ablation.json --table ablation.md --plot ablation.svg

What follows `--` goes to `train.py` for every config, and `--source FILE` (the image weights) for all but those named `--from_scratch`.
Runs that share a GPU take of its memory what they need. The first seed of all configs comes first. A run that is finished, or whose score
the JSON holds, is not made again, and one that was interrupted goes on, so the same command picks up what `--seconds` or Ctrl-C cut short.
A config that was changed needs another JSON and other work directories.
"""

import argparse
import itertools
import json
import pathlib
import statistics

import jobs
from script import make_parser, write_json
from subprocesses import TRAIN


def main() -> None:
    parser = make_parser(__doc__)
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
        train(arguments)
    if not arguments.json.is_file():
        raise SystemExit(f"{arguments.json} has no scores: no run was finished")
    scores = json.loads(arguments.json.read_text())
    if arguments.table:
        arguments.table.write_text(table(scores))
    if arguments.plot:
        plot(scores, arguments.plot, dict(arguments.references))
    print(table(scores))


def train(arguments: argparse.Namespace) -> None:
    """Trains whatever has no score yet, and adds each score to the JSON, whose rows are in the order of the configs."""
    scores = json.loads(arguments.json.read_text()) if arguments.json.is_file() else {}
    cells = {}
    for seed, config in itertools.product(arguments.seeds, arguments.configs):
        if str(seed) in scores.get(config_name(config), {}):
            print(f"{config_name(config)} seed {seed}: scored before", flush=True)
        else:
            cells[as_job(config, seed, arguments)] = config_name(config), seed

    def keep(job: jobs.Job, seconds: float) -> None:
        (name, seed), evaluation = cells[job], json.loads((job.workdir / jobs.SCORES).read_text())
        score = {key: evaluation[key] for key in ("top1", "hits", "examples", "views")} | {"seconds": round(seconds, 1)}
        scores.setdefault(name, {})[str(seed)] = score
        names = dict.fromkeys([*map(config_name, arguments.configs), *scores])
        write_json(arguments.json, {name: scores[name] for name in names if name in scores})
        print(f"{name} seed {seed}: {score}", flush=True)

    for job in (job for job in cells if job.finished):
        keep(job, 0.0)
    limits = {"seconds": arguments.seconds or float("inf"), "longest": arguments.timeout or float("inf")}
    jobs.run_all(list(cells), arguments.parallel, **limits, stagger=arguments.stagger, then=keep)


def as_job(config: str, seed: int, arguments: argparse.Namespace) -> jobs.Job:
    """The training of a config with a seed."""
    name = config_name(config)
    workdir = arguments.workdirs / f"{name}_{seed}"
    command = [*TRAIN, f"--config={config}", f"--workdir={workdir}", f"--config.seed={seed}"]
    if arguments.source and config.partition(":")[2] not in arguments.from_scratch:
        command.append(f"--config.init.source={arguments.source}")
    return jobs.Job(f"{name} seed {seed}", workdir, ((*command, *arguments.flags),))


def config_name(config: str) -> str:
    """`configs/drone_ir_ablation.py:mixup` as `drone_ir_ablation_mixup`."""
    path, _, argument = config.partition(":")
    return "_".join([pathlib.Path(path).stem, *([argument] if argument else [])])


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
