"""How far is the loss of the fast path from that of plain float32, over the same batches and seed? What the speed costs in numbers.

The fast path computes in bfloat16 with whatever attention the device offers; the plain one in float32 (of full precision, where a GPU would
round products to TF32) by the definition of attention. On a GPU this covers its kernels; on a CPU it covers bfloat16, and none of them.

Where steps follow one another any rounding grows, so float32 in another order (`remat` makes XLA fuse otherwise) runs beside them: its
distance from the plain one is what rounding alone does to this run.

  python benchmarks/loss_curve.py --config configs/drone_ir.py --json loss_curve.json --plot docs/images/loss_curve.svg \\
      -- --config.data.data_dir=data --config.data.cache_gigabytes=1

What follows `--` goes to `train.py` each time. Single steps differ more than the run does, so moving averages are compared too, and the
command fails where those of the fast path ever differ by more than `--bound`, or by twice what rounding alone does if that is more. Where
cuDNN pads an odd number of tokens, dropout draws another mask: compare with `--config.model.dropout=0` there.
"""

import argparse
import json
import pathlib
import tempfile
from typing import Any

import numpy as np
from loss_runs import CONFIG, PATHS, LossRun
from script import add_json, make_parser, write_json

COMPARED = ("fast", "reordered")  # with the plain one
TRAINED = ("fast", "plain", "reordered")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("--steps", type=int, default=200, help="steps of each run (default 200)")
    parser.add_argument("--window", type=int, default=20, help="steps of the moving average (default 20)")
    parser.add_argument("--bound", type=float, default=0.05, help="the most that the moving averages may differ by (default 0.05)")
    add_json(parser)
    parser.add_argument("--plot", type=pathlib.Path, metavar="IMAGE", help="draw the curves")
    parser.add_argument("flags", nargs="*", help="further flags of train.py")
    arguments = parser.parse_args()
    if not 1 <= arguments.window <= arguments.steps:
        raise SystemExit(f"--window must be from 1 to the {arguments.steps} steps of a run, got {arguments.window}")
    report = measure(arguments)
    write_json(arguments.json, report)
    if arguments.plot:
        plot(report, arguments.plot)
    for path, figures in report["differences"].items():
        for name, figure in figures.items():
            print(f"{path:10}{name:15}  mean {figure['mean']:.5f}  largest {figure['largest']:.5f}, at step {figure['step']}")
    fast, reordered = (report["differences"][path]["moving average"]["largest"] for path in COMPARED)
    bound = max(arguments.bound, 2 * reordered)
    if not fast <= bound:
        raise SystemExit(f"the moving averages of {arguments.window} steps differ by {fast:.5f}, more than {bound:.5g}")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The losses of all runs, and how far they are from the plain one's."""
    losses = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in TRAINED:
            workdir = pathlib.Path(folder) / name
            print(f"{name}: {', '.join(map(str, PATHS[name].values()))}", flush=True)
            losses[name] = LossRun(arguments.config, name, arguments.steps, arguments.flags).losses(workdir)
            ran = json.loads((workdir / "config.json").read_text())
    return {
        "config": pathlib.Path(arguments.config).name,
        "flags": arguments.flags,
        "ran": {key: value for key, value in ran.items() if key != "config"},
        "window": arguments.window,
        "differences": {path: differences(losses[path], losses["plain"], arguments.window) for path in COMPARED},
        "losses": losses,
    }


def differences(other: list[float], plain: list[float], window: int) -> dict[str, dict[str, float]]:
    """Of single steps and of moving averages: the mean and the largest absolute difference, and the step of the largest (from 1)."""
    figures = {}
    for name, width in (("step", 1), ("moving average", window)):
        apart = np.abs(moving_average(other, width) - moving_average(plain, width))
        figures[name] = {"mean": float(apart.mean()), "largest": float(apart.max()), "step": int(apart.argmax()) + width}
    return figures


def moving_average(values: list[float], window: int) -> np.ndarray:
    """The means of each `window` values in a row; the first is of the first `window` values."""
    return np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=-1)


def plot(report: dict[str, Any], path: pathlib.Path) -> None:
    """Draws single steps faintly and their moving averages over them; under these, how far the averages are apart."""
    import matplotlib
    from matplotlib.figure import Figure

    from vivit_jax.runs.plots import COLOURS, STYLE

    window = report["window"]
    colours = dict(zip(TRAINED, COLOURS, strict=False))
    averages = {name: moving_average(losses, window) for name, losses in report["losses"].items()}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for (name, losses), line in zip(report["losses"].items(), ("-", "--", ":"), strict=True):
            label = f"{name}: {PATHS[name]['dtype']}, attention {PATHS[name]['attention']}" + ", remat" * ("remat" in PATHS[name])
            upper.plot(range(1, len(losses) + 1), losses, color=colours[name], alpha=0.3, linewidth=0.8)
            upper.plot(range(window, len(losses) + 1), averages[name], color=colours[name], linestyle=line, linewidth=1.5, label=label)
        for name in COMPARED:
            apart = averages[name] - averages["plain"]
            lower.plot(range(window, window + len(apart)), apart, color=colours[name], linewidth=1.5)
        upper.set_ylabel(f"training loss, mean of {window} steps")
        lower.set(xlabel="step", ylabel="minus plain")
        upper.legend()
        for axes in (upper, lower):
            axes.grid(True)
        figure.savefig(path, transparent=True, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
