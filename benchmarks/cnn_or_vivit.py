"""The study of docs/cnn_or_vivit.md: CNNs and ViViTs by one recipe, each at its own learning rate, over seeds.

Each model is trained at every rate with seed 0. The rate whose best validation score is highest is trained again with the other seeds, and
only those runs' test scores count. A run that is finished is not done again, so that the same command goes on where it was stopped; with
`--seconds` it begins no run after that time. Several runs go side by side, each on one of the GPUs that are there.

`--variants` changes one thing at a time, each model at the rate it got on the whole set: a part of the training clips in as many steps,
frames in random order, or another number of frames over the same time. With `--rates_from` they take the rates of a study that is written
down, so that its runs on the whole sets need not be there.

  python benchmarks/cnn_or_vivit.py --data_dir data --workdir runs/cnn_or_vivit --jobs 8 --json docs/cnn_or_vivit.json
  python benchmarks/cnn_or_vivit.py --data_dir data --workdir runs/cnn_or_vivit --jobs 8 --variants whole half quarter tenth
  python benchmarks/cnn_or_vivit.py --data_dir data --workdir runs/variants --jobs 8 --variants shuffled --rates_from docs/cnn_or_vivit.json
  python benchmarks/cnn_or_vivit.py --workdir runs/cnn_or_vivit --write docs/cnn_or_vivit.md --json docs/cnn_or_vivit.json --jobs 0
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import jobs
import numpy as np

from vivit_jax.analysis import complexity
from vivit_jax.config_file import read_config

SETS = ("motion_digits", "drone_ir", "adrenalmnist3d")
MODELS = ("1", "2", "3", "4", "2,frames", "single_frame", "early", "late", "slow", "r3d_18", "r2plus1d_18")
RATES = ("3e-4", "1e-3")
SCORES = {"adrenalmnist3d": "auc"}  # of the others top1
PARTS = {"half": 0.5, "quarter": 0.25, "tenth": 0.1}
FRAMES = {"8_frames": 8, "32_frames": 32}
VARIANTS = ("whole", *PARTS, "shuffled", *FRAMES)
BEGIN, END = "<!-- made by benchmarks/cnn_or_vivit.py -->", "<!-- until here -->"


@dataclasses.dataclass(frozen=True)
class Job:
    """One run."""

    data: str
    model: str
    rate: str
    seed: int
    variant: str = "whole"

    def workdir(self, root: pathlib.Path) -> pathlib.Path:
        """Where it lies."""
        folder = self.data if self.variant == "whole" else f"{self.data}-{self.variant}"
        return root / folder / f"{self.model.replace(',', '_')}-{self.rate}-{self.seed}"

    @property
    def config(self) -> str:
        """The config file and its argument."""
        return f"{jobs.ROOT}/configs/cnn_or_vivit.py:{self.data},{self.model}"

    def overrides(self) -> dict[str, str] | None:
        """The keys of the config that make the variant, and their values; None if the model cannot have it."""
        if self.variant == "whole":
            return {}
        if self.variant == "shuffled":
            return {"data.temporal_order": "shuffled"}
        experiment = read_config(self.config, {})
        if self.variant in PARTS:
            part = PARTS[self.variant]
            return {"data.train_split": f"train[:{part:.0%}]", "training.epochs": f"{experiment.training.epochs / part:g}"}
        frames, height, width = experiment.model.clip
        stride, left = divmod(experiment.data.stride * frames, FRAMES[self.variant])
        if left or self.model in ("single_frame", "late", "slow"):
            return None
        return {"model.clip": f"({FRAMES[self.variant]},{height},{width})", "data.stride": str(stride)}

    @property
    def score(self) -> str:
        """What the data set is judged by."""
        return SCORES.get(self.data, "top1")


def best_validation(job: Job, root: pathlib.Path) -> float | None:
    """The best validation score of a run that is finished; None of any other."""
    workdir = job.workdir(root)
    if not (workdir / jobs.SCORES).exists():
        return None
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return max(row[f"val/{job.score}"] for row in rows if f"val/{job.score}" in row)


def chosen_rates(arguments: argparse.Namespace) -> dict[tuple[str, str], str]:
    """The learning rate of each data set and model: that of the study written down, or the best of those tried, once all are tried."""
    if arguments.rates_from:
        return {(row["data"], row["model"]): row["rate"] for row in json.loads(arguments.rates_from.read_text())}
    cells = itertools.product(arguments.sets, arguments.models)
    return {cell: rate for cell in cells if (rate := best_rate(*cell, arguments.rates, arguments.workdir))}


def best_rate(data: str, model: str, rates: Sequence[str], root: pathlib.Path) -> str | None:
    """The rate of the highest validation score with seed 0, once all are tried."""
    found = {rate: best_validation(Job(data, model, rate, 0), root) for rate in rates}
    return None if None in found.values() else max(found, key=found.get)


def as_run(job: Job, arguments: argparse.Namespace) -> jobs.Job:
    """The command of a run, which reads with two threads since many go side by side."""
    workdir = job.workdir(arguments.workdir)
    keys = {
        "data.data_dir": arguments.data_dir,
        "seed": job.seed,
        "optimizer.learning_rate": job.rate,
        "data.readers": 2,
        "data.processes": 0,
        "checkpoint.every_percent": 20,
        **job.overrides(),
    }
    flags = (f"--config={job.config}", f"--workdir={workdir}", *(f"--config.{key}={value}" for key, value in keys.items()))
    return jobs.Job(str(job), workdir, ((*jobs.TRAIN, *flags),))


def measure(arguments: argparse.Namespace) -> None:
    """Tries the rates, then the other seeds at each model's own."""
    cells, end = list(itertools.product(arguments.sets, arguments.models)), time.monotonic() + arguments.seconds

    def run(wanted: list[Job]) -> None:
        jobs.run_all([as_run(job, arguments) for job in wanted], arguments.jobs, arguments.gpus, end - time.monotonic())

    if not arguments.rates_from:
        run([Job(*cell, rate, 0) for rate in arguments.rates for cell in cells])
    chosen = chosen_rates(arguments)
    wanted = [
        Job(*cell, chosen[cell], seed, variant)
        for variant in arguments.variants
        for seed in range(arguments.seeds)
        for cell in cells
        if cell in chosen
    ]
    run([job for job in wanted if job.overrides() is not None])


def collect(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each variant, data set and model whose runs are finished."""
    rows, chosen = [], chosen_rates(arguments)
    for variant, data, model in itertools.product(arguments.variants, arguments.sets, arguments.models):
        rate = chosen.get((data, model))
        seeds = [Job(data, model, rate, seed, variant) for seed in range(arguments.seeds)]
        if rate is None or any(best_validation(job, arguments.workdir) is None for job in seeds):
            continue
        scores = [json.loads((job.workdir(arguments.workdir) / jobs.SCORES).read_text()) for job in seeds]
        experiment = read_config(seeds[0].config, {**seeds[0].overrides(), "model.num_classes": str(len(scores[0]["per_class"]))})
        rows.append(
            {
                "variant": variant,
                "data": data,
                "model": model,
                "parameters": complexity.count_parameters(experiment.model),
                "gmac": complexity.count_arithmetic(experiment.model).multiply_accumulates / 1e9,
                "rate": rate,
                "validation": [best_validation(job, arguments.workdir) for job in seeds],
                "score": seeds[0].score,
                "test": [score[seeds[0].score] for score in scores],
                "test_top1": [score["top1"] for score in scores],
                "examples": scores[0]["examples"],
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows of the whole sets as markdown, a table for each data set."""
    lines = []
    for data, of_set in itertools.groupby((row for row in rows if row["variant"] == "whole"), key=lambda row: row["data"]):
        of_set = list(of_set)
        score = {"top1": "top-1", "auc": "AUC"}[of_set[0]["score"]]
        lines += [
            f"**{data}**, test {score} of {of_set[0]['examples']} examples over {len(of_set[0]['test'])} seeds:\n",
            f"| model | parameters, M | GMAC a view | rate | validation | test {score}, mean | deviation | each |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in sorted(of_set, key=lambda row: -np.mean(row["test"])):
            each = ", ".join(f"{value:.3f}" for value in row["test"])
            cells = [f"`{row['model']}`", f"{row['parameters'] / 1e6:.2f}", f"{row['gmac']:.3f}", row["rate"]]
            figures = np.mean(row["validation"]), np.mean(row["test"]), np.std(row["test"], ddof=1) if len(row["test"]) > 1 else np.nan
            lines.append(f"| {' | '.join([*cells, *(f'{figure:.3f}' for figure in figures), each])} |")
        lines.append("")
    return "\n".join(lines)


def variants_table(rows: list[dict[str, Any]]) -> str:
    """The test scores of all variants as markdown, a table for each data set: mean and deviation, and arithmetic where it is another."""
    lines = []
    for data in dict.fromkeys(row["data"] for row in rows):
        of_set = {(row["model"], row["variant"]): row for row in rows if row["data"] == data}
        variants = [variant for variant in VARIANTS if any(variant == found for _, found in of_set)]
        if len(variants) > 1:
            heads = " | ".join(variant.replace("_", " ") for variant in variants)
            lines += [f"**{data}**:\n", f"| model | {heads} |", "|---" * (len(variants) + 1) + "|"]
            for model in dict.fromkeys(model for model, _ in of_set):
                cells = [_cell(of_set.get((model, variant)), of_set.get((model, "whole"))) for variant in variants]
                lines.append(f"| `{model}` | {' | '.join(cells)} |")
            lines.append("")
    return "\n".join(lines)


def _cell(row: dict[str, Any] | None, whole: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    score = f"{np.mean(row['test']):.3f}" + (f" ± {np.std(row['test'], ddof=1):.3f}" if len(row["test"]) > 1 else "")
    gmac = f"{row['gmac']:.3f}"
    return score if whole is None or gmac == f"{whole['gmac']:.3f}" else f"{score} ({gmac} GMAC)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=pathlib.Path, required=True, help="where the runs lie")
    parser.add_argument("--data_dir", help="where the prepared data sets lie")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="NAME")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="NAME")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["whole"], metavar="NAME", help=" ".join(VARIANTS))
    parser.add_argument("--rates", nargs="+", default=RATES, metavar="RATE", help=f"learning rates (default {' '.join(RATES)})")
    parser.add_argument("--rates_from", type=pathlib.Path, metavar="FILE.json", help="the figures of a study: take its rates and try none")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each at its rate (default 3)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side; 0 only makes the table (default 1)")
    parser.add_argument("--gpus", type=lambda text: text.split(","), default=[], metavar="N,...", help="GPUs to spread them over")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after this time")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE.md", help="put the tables between this document's markers")
    arguments = parser.parse_args()
    if arguments.jobs:
        measure(arguments)
    rows = collect(arguments)
    tables = "\n".join(part for part in (table(rows), variants_table(rows)) if part)
    print(tables)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.write:
        before, _, rest = arguments.write.read_text().partition(BEGIN)
        arguments.write.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
