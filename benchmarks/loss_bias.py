"""Does the fast path bias the loss, or do two runs differ by chance? Many seeds of three paths, paired.

Runs of one seed see the same batches and draws, and drift apart as rounding grows. If a kernel were biased, its runs would end above (or
below) those of plain float32 on average over seeds; chance averages out. `definition` tells a fault of our kernels from one of bfloat16.

  python benchmarks/loss_bias.py --config configs/drone_ir.py --seeds 8 --json loss_bias.json -- --config.data.data_dir=data \\
      --config.data.cache_gigabytes=1 --config.model.dropout=0

What follows `--` goes to `train.py` each time. `--at_once` runs share a GPU: nothing here is timed.
"""

import argparse
import concurrent.futures
import json
import pathlib
import tempfile

import numpy as np
import scipy.stats
from loss_runs import CONFIG, LossRun
from script import add_json, make_parser

PATHS = ("plain", "definition", "fast")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("--steps", type=int, default=200, help="steps of each run, of which the second half is compared (default 200)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each path (default 5)")
    parser.add_argument("--at_once", type=int, default=1, help="runs at a time (default 1)")
    add_json(parser)
    parser.add_argument("flags", nargs="*", help="further flags of train.py")
    arguments = parser.parse_args()

    jobs = [(path, seed) for seed in range(arguments.seeds) for path in PATHS]
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        runs = pool.map(lambda job: losses_of(arguments, *job, pathlib.Path(folder)), jobs)
        losses = {f"{path} {seed}": run for (path, seed), run in zip(jobs, runs, strict=True)}
    figures = {path: bias(losses, path, arguments) for path in PATHS if path != "plain"}
    if arguments.json:
        arguments.json.write_text(json.dumps({"flags": arguments.flags, "bias": figures, "losses": losses}) + "\n")
    for path, figure in figures.items():
        low, high = figure["interval"]
        print(f"{path:10} minus plain: {figure['mean']:+.4f} of {figure['plain']:.3f}, 95 % interval {low:+.4f} to {high:+.4f}")


def losses_of(arguments: argparse.Namespace, path: str, seed: int, folder: pathlib.Path) -> list[float]:
    """The loss of each step of one run."""
    flags = [*arguments.flags, f"--config.seed={seed}"]
    run = LossRun(arguments.config, path, arguments.steps, flags)
    losses = run.losses(folder / f"{path}_{seed}", {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / arguments.at_once:.2f}"})
    print(f"{path} {seed} done", flush=True)
    return losses


def bias(losses: dict[str, list[float]], path: str, arguments: argparse.Namespace) -> dict:
    """How far a path's mean loss over the second half lies above plain float32's: mean over seeds, and 95 % interval by Student's t."""
    half = arguments.steps // 2
    means = {name: np.mean(run[half:]) for name, run in losses.items()}
    plain = np.array([means[f"plain {seed}"] for seed in range(arguments.seeds)])
    apart = np.array([means[f"{path} {seed}"] for seed in range(arguments.seeds)]) - plain
    reach = scipy.stats.t.ppf(0.975, arguments.seeds - 1) * apart.std(ddof=1) / np.sqrt(arguments.seeds)
    mean = float(apart.mean())
    return {"plain": float(plain.mean()), "mean": mean, "interval": [mean - reach, mean + reach], "each": apart.tolist()}


if __name__ == "__main__":
    main()
