"""How does the time of the paper's four factorisations grow with the clip's length? Its claim of complexity, measured, with exponents.

Model 1 attends among all n_t n_h n_w tokens, so its attention grows with the square of the frames; Models 2 to 4 attend within a frame and
across time, which grows linearly with them but for the small part across time (Sec. 3.3). Each is timed at the same batch size at every
length; the exponent is the slope of log time over log frames, of all lengths and of the longest three.

  python benchmarks/clip_length.py --json clip_length.json                           # on the machine to be measured
  python benchmarks/clip_length.py --plot clip_length.json docs/images/clip_length.svg
"""

import argparse
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from script import add_json, make_parser, write_json

FRAMES = (8, 16, 32, 64, 128)
BATCH_SIZE = 8
TUBELET, SIDE, CLASSES = (2, 16, 16), 224, 400
TAIL = 3


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """A row for each mode, factorisation and length; one that does not fit into memory has no time."""
    import jax

    from vivit_jax.analysis import complexity, throughput
    from vivit_jax.analysis.ceiling import matrix_ceiling
    from vivit_jax.analysis.environment import environment
    from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    jax.config.update("jax_enable_compilation_cache", False)
    ceiling = matrix_ceiling()
    report = {"environment": environment(), "ceiling": dataclasses.asdict(ceiling), "size": arguments.size, "rows": []}
    for mode in arguments.modes:
        for factorisation in FACTORISATIONS:
            for frames in arguments.frames:
                model = ViViTConfig(
                    factorisation=factorisation,
                    size=arguments.size,
                    tubelet=(TUBELET[0], arguments.patch, arguments.patch),
                    clip=(frames, arguments.side, arguments.side),
                    num_classes=CLASSES,
                    dtype="float32" if jax.default_backend() == "cpu" else "bfloat16",
                )
                subject = throughput.Subject(
                    model, TrainingConfig(batch_size=arguments.batch_size), optimizer=OptimizerConfig(weight_decay=0.05)
                )
                gmac = complexity.count_arithmetic(model).products / 1e9
                row = {"mode": mode, "factorisation": factorisation, "frames": frames, "batch_size": arguments.batch_size, "gmac": gmac}
                try:
                    row |= throughput.measure(mode, subject, steps=arguments.steps).to_row(ceiling)
                except jax.errors.JaxRuntimeError as error:
                    if "RESOURCE_EXHAUSTED" not in str(error):
                        raise
                    row["error"] = "out of memory"
                report["rows"].append(row)
                report["exponents"] = exponents(report["rows"])
                write_json(arguments.json, report)  # after each row, so that an interrupted run leaves what it measured
                said = row.get("error") or f"{row['milliseconds']:9.2f} ms  {row['clips_per_second']:8.1f} clips/s"
                print(f"{mode:6}{factorisation:34}{frames:4} frames {gmac:8.1f} GMAC  {said}", flush=True)
    return report


def exponents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By mode and factorisation: the slopes of log time and of log arithmetic over log frames, of all lengths and of the longest."""
    fitted = []
    for mode, factorisation in dict.fromkeys((row["mode"], row["factorisation"]) for row in rows):
        timed = [row for row in rows if (row["mode"], row["factorisation"]) == (mode, factorisation) and "error" not in row]
        timed.sort(key=lambda row: row["frames"])
        fitted.append(
            {
                "mode": mode,
                "factorisation": factorisation,
                "time": _slope(timed, "milliseconds"),
                "time_of_longest": _slope(timed[-TAIL:], "milliseconds"),
                "arithmetic": _slope(timed, "gmac"),
                "arithmetic_of_longest": _slope(timed[-TAIL:], "gmac"),
            }
        )
    return fitted


def _slope(rows: list[dict[str, Any]], key: str) -> float | None:
    """None for fewer than two lengths."""
    if len(rows) < 2:
        return None
    return float(np.polyfit(np.log([row["frames"] for row in rows]), np.log([row[key] for row in rows]), 1)[0])


def show(fitted: list[dict[str, Any]]) -> None:
    """Prints the exponents."""
    keys = ("time", "time_of_longest", "arithmetic", "arithmetic_of_longest")
    print(f"\n{'exponent of the frames':40}" + "".join(f"{key.replace('_', ' '):>23}" for key in keys))
    for row in fitted:
        figures = "".join(f"{'-' if row[key] is None else format(row[key], '.2f'):>23}" for key in keys)
        print(f"{row['mode']:6}{row['factorisation']:34}{figures}")


def plot(source: pathlib.Path, target: pathlib.Path) -> None:
    """Draws a report's times over its lengths, on logarithmic axes, with the exponents of the longest clips in the legend."""
    import matplotlib
    from matplotlib.figure import Figure

    from vivit_jax.runs.plots import COLOURS, STYLE

    report = json.loads(source.read_text())
    fitted = {(row["mode"], row["factorisation"]): row for row in report["exponents"]}
    modes = list(dict.fromkeys(mode for mode, _ in fitted))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8 * len(modes), 3.6), layout="constrained")
        for axes, mode in zip(np.atleast_1d(figure.subplots(1, len(modes), sharey=True)), modes, strict=True):
            measured = [row for key, row in fitted.items() if key[0] == mode]
            for number, (exponent, colour) in enumerate(zip(measured, COLOURS, strict=False), start=1):
                _draw(axes, report["rows"], exponent, number, colour)
            axes.set(xscale="log", yscale="log", xlabel="frames of a clip", title={"train": "training", "infer": "inference"}[mode])
            frames = sorted({row["frames"] for row in report["rows"]})
            axes.set_xticks(frames, [str(count) for count in frames])
            axes.xaxis.minorticks_off()
            axes.grid(True)
            axes.legend()
        figure.axes[0].set_ylabel("milliseconds a clip")
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, transparent=True, metadata={"Date": None} if target.suffix == ".svg" else None)


def _draw(axes: Any, rows: list[dict[str, Any]], exponent: dict[str, Any], number: int, colour: str) -> None:
    timed = [row for row in rows if all(row[key] == exponent[key] for key in ("mode", "factorisation")) and "error" not in row]
    slope = exponent["time_of_longest"]
    label = f"Model {number}" + ("" if slope is None else f": frames$^{{{slope:.2f}}}$")
    per_clip = [row["milliseconds"] / row["batch_size"] for row in timed]
    axes.plot([row["frames"] for row in timed], per_clip, color=colour, label=label, marker="o", markersize=3)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--frames", type=_numbers, default=FRAMES, metavar="N,...", help="clip lengths (default 8 to 128)")
    parser.add_argument("--batch_size", type=int, default=BATCH_SIZE, help=f"clips a step, at every length (default {BATCH_SIZE})")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["train", "infer"], help="default train,infer")
    parser.add_argument("--size", default="B", help="backbone (default B)")
    parser.add_argument("--patch", type=int, default=TUBELET[1], help="pixels of a tubelet's side (default 16)")
    parser.add_argument("--side", type=int, default=SIDE, help="pixels of a frame's side (default 224)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps (default 10)")
    add_json(parser)
    parser.add_argument("--plot", nargs=2, type=pathlib.Path, metavar=("JSON", "IMAGE"), help="draw figures measured before, and end")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(*arguments.plot)
        return
    show(measure(arguments)["exponents"])


if __name__ == "__main__":
    main()
