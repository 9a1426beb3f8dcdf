"""What does it save to leave work out of training steps: PatchDropout, and stochastic depth that skips the examples it drops?

Steps a second of ViViT-B/16x2, Models 1 to 4, with all patches, a half and a quarter of them, and with stochastic depth that computes what
it drops and that skips it. Each model has a process of its own, in which its variants take turns:

  python benchmarks/fewer_tokens.py --out figures                                              # on a GPU
  python benchmarks/fewer_tokens.py --out figures --size motion_digits --models 1,2            # on a CPU
  python benchmarks/fewer_tokens.py --out figures --size tiny --batch_size 8 --steps 3         # that everything runs

`--runs DIR` instead sets finished runs beside each other: their test scores, and clips a second while they trained. A run's folder is its
variant, a dash and its seed, as in `runs/half-0`; `docs/training.md` has the commands that make them.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import pathlib
import statistics
import sys
import time
from typing import Any

from script import make_parser, write_json
from subprocesses import alone

SIZES = {
    "B/16x2": {"size": "B", "tubelet": (2, 16, 16), "clip": (32, 224, 224), "num_classes": 400},
    "motion_digits": {"hidden_size": 64, "num_layers": 4, "temporal_layers": 2, "num_heads": 4, "mlp_dim": 128, "pool": "mean"}
    | {"tubelet": (4, 8, 8), "clip": (16, 48, 48), "num_classes": 8},
    "tiny": {
        "hidden_size": 16,
        "num_layers": 3,
        "num_heads": 2,
        "mlp_dim": 32,
        "tubelet": (2, 8, 8),
        "clip": (4, 32, 32),
        "num_classes": 5,
    },
}
VARIANTS = {
    "all patches": {},
    "a half": {"patch_dropout": 0.5},
    "a quarter": {"patch_dropout": 0.75},
    "stochastic depth 0.3": {"stochastic_depth": 0.3},
    "the same, skipping": {"stochastic_depth": 0.3, "stochastic_depth_skips": True},
}
GIGABYTE = 1e9


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder for fewer_tokens.json and .md, or fewer_tokens_scores")
    parser.add_argument("--models", default="1,2,3,4", help="the paper's models, by number (default all)")
    parser.add_argument("--size", choices=SIZES, default="B/16x2")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=6, help="steps of a turn (default 6)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each variant (default 3)")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds a model may take (default 300)")
    parser.add_argument("--runs", type=pathlib.Path, help="a folder of finished runs, to set beside each other instead")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(measure(int(arguments.alone), arguments)))
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.runs:
        return write(arguments.out / "fewer_tokens_scores", *scores(arguments.runs))
    report: dict[str, Any] = {"batch_size": arguments.batch_size, "size": arguments.size, "rows": []}
    for model in arguments.models.split(","):
        report |= {"rows": report["rows"] + in_a_process(model, arguments, report)}
        write(arguments.out / "fewer_tokens", report, table(report["rows"]))
    return int(any("error" in row for row in report["rows"]))


def in_a_process(model: str, arguments: argparse.Namespace, report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a model; the environment goes into the report."""
    printed, problem = alone(__file__, *sys.argv[1:], "--alone", model, timeout=arguments.timeout)
    if problem:
        return [{"model": int(model), "variant": "all", "error": problem}]
    measured = printed[-1]
    report["environment"] = measured["environment"]
    return measured["rows"]


def measure(number: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row for each variant of the paper's Model `number`: compiled all at once, then timed in turns."""
    import jax

    from vivit_jax.analysis import throughput
    from vivit_jax.analysis.environment import environment
    from vivit_jax.analysis.random_input import random_variables
    from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    jax.config.update("jax_enable_compilation_cache", False)
    model = ViViTConfig(**SIZES[arguments.size], factorisation=FACTORISATIONS[number - 1], dtype="auto")
    subject = throughput.Subject(
        model,
        TrainingConfig(batch_size=arguments.batch_size),
        optimizer=OptimizerConfig(weight_decay=0.05),
        variables=random_variables(model),
    )

    def prepare(options: dict[str, Any]) -> Any:
        return throughput.prepare("train", dataclasses.replace(subject, model=dataclasses.replace(model, **options)))

    with concurrent.futures.ThreadPoolExecutor() as pool:
        prepared = dict(zip(VARIANTS, pool.map(prepare, VARIANTS.values()), strict=True))
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(arguments.rounds):
        for variant, one in prepared.items():
            jax.block_until_ready(one.call())
            start = time.perf_counter()
            jax.block_until_ready([one.call() for _ in range(arguments.steps)])
            seconds[variant].append((time.perf_counter() - start) / arguments.steps)
    rows = [
        {
            "model": number,
            "variant": variant,
            "steps_per_second": 1 / statistics.median(seconds[variant]),
            "clips_per_second": arguments.batch_size / statistics.median(seconds[variant]),
            "ratio": statistics.median(seconds["all patches"]) / statistics.median(seconds[variant]),
            "spread": (max(seconds[variant]) - min(seconds[variant])) / statistics.median(seconds[variant]),
            "gigabytes": one.compiled.memory_analysis().temp_size_in_bytes / GIGABYTE,
            "compile_seconds": one.compile_seconds,
        }
        for variant, one in prepared.items()
    ]
    return {"environment": environment(), "rows": rows}


def table(rows: list[dict[str, Any]]) -> str:
    """Steps a second in Markdown, with how many times faster than all patches without stochastic depth."""
    lines = [f"| Model | {' | '.join(VARIANTS)} |", "|---" * (len(VARIANTS) + 1) + "|"]
    for number in dict.fromkeys(row["model"] for row in rows):
        found = {row["variant"]: row for row in rows if row["model"] == number}
        cells = [
            f"{found[variant]['steps_per_second']:.2f} ({found[variant]['ratio']:.2f}x, {found[variant]['gigabytes']:.1f} GB)"
            if variant in found
            else "-"
            for variant in VARIANTS
        ]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def scores(folder: pathlib.Path) -> tuple[dict[str, Any], str]:
    """By variant: the test scores of its seeds, and the median of clips a second over a run's rows of metrics, and over the runs."""
    variants: dict[str, list[dict[str, float]]] = {}
    for path in sorted(folder.glob("*-*/evaluation.json")):
        metrics = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        rates = [row["train/clips_per_second"] for row in metrics if "train/clips_per_second" in row]
        run = {"top1": json.loads(path.read_text())["top1"], "clips_per_second": statistics.median(rates)}
        variants.setdefault(path.parent.name.rpartition("-")[0], []).append(run)
    if not variants:
        raise SystemExit(f"{folder} has no finished run: VARIANT-SEED/evaluation.json")
    lines = ["| variant | runs | test top-1, mean and deviation | clips a second |", "|---|---|---|---|"]
    for name, runs in variants.items():
        top1 = [100 * run["top1"] for run in runs]
        deviation = f" ± {statistics.stdev(top1):.1f}" if len(runs) > 1 else ""
        rate = statistics.median(run["clips_per_second"] for run in runs)
        lines.append(f"| {name} | {len(runs)} | {statistics.mean(top1):.1f}{deviation} | {rate:.0f} |")
    return {"variants": variants}, "\n".join(lines) + "\n"


def write(path: pathlib.Path, report: dict[str, Any], text: str) -> int:
    write_json(path.with_suffix(".json"), report)
    path.with_suffix(".md").write_text(text)
    print(text, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
