"""How many clips a second do more GPUs train, the batch of each constant, and what does each hold, with and without FSDP?

  python benchmarks/scaling.py --configs configs/vivit_kinetics400.py:B/16x2,1 configs/vivit_kinetics400.py:B/16x2,2 \\
      --devices 1 2 4 --batch_size 32 --json scaling.json
  python benchmarks/scaling.py --configs configs/vivit_kinetics400.py:H/14x2,2 --devices 2 4 --placements fsdp --batch_size 16

Each row is a `vivit bench --mode train` in a process of its own that sees so many of the GPUs. `data` divides the batch alone; `fsdp` the
parameters and the optimiser's state too. Linear is the same config on one GPU, times the GPUs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
from typing import Any

from script import add_json, make_parser, write_json
from subprocesses import VIVIT

COLUMNS = "| config | GPUs | placement | batch | clips/s | of linear | ms | GB a GPU | compile, s |"


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--configs", nargs="+", required=True, metavar="FILE.py[:ARG]")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2], help="numbers of GPUs (default 1 2)")
    parser.add_argument("--placements", nargs="+", choices=("data", "fsdp"), default=["data", "fsdp"])
    parser.add_argument("--batch_size", type=int, default=32, help="clips of each GPU (default 32)")
    parser.add_argument("--steps", type=int, default=15)
    add_json(parser)
    parser.add_argument("flags", nargs="*", help="after `--`, further flags of vivit bench")
    arguments = parser.parse_args()
    rows = []
    print(COLUMNS + "\n|" + "---|" * (COLUMNS.count("|") - 1), flush=True)
    for config in arguments.configs:
        linear = None
        for devices in arguments.devices:
            for placement in arguments.placements if devices > 1 else ["data"]:
                row = bench(config, devices, placement, arguments)
                speed = row.get("clips_per_second")
                linear = speed if devices == 1 else linear
                row["of_linear"] = speed / (devices * linear) if speed and linear else None
                rows.append(row)
                print(line(row), flush=True)
                write_json(arguments.json, rows)


def bench(config: str, devices: int, placement: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of one run."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "bench.json"
        command = [*VIVIT, "bench", "--mode", "train", "--config", config, "--steps", str(arguments.steps)]
        command += ["--batch_size", str(devices * arguments.batch_size), "--json", str(report), *arguments.flags]
        command += ["--config.parallel.fsdp", str(devices)] if placement == "fsdp" else []
        allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
        numbers = allowed.split(",") if allowed else [str(number) for number in range(devices)]
        visible = ",".join(numbers[:devices])
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"CUDA_VISIBLE_DEVICES": visible})
        figures = json.loads(report.read_text())
    row = figures["rows"][0]
    if row.setdefault("devices", devices) != devices:
        raise SystemExit(f"{devices} GPUs were asked for, and {row['devices']} found")
    return {"config": config, "placement": placement, "ceiling": figures["ceiling"], "environment": figures["environment"]} | row


def line(row: dict[str, Any]) -> str:
    """A row in Markdown; of a step that does not fit into memory it tells that alone."""
    values = [row["config"].partition(":")[2] or row["config"], row["devices"], row["placement"], row["batch_size"]]
    if "error" in row:
        values += [row["error"], *["-"] * 4]
    else:
        linear, memory = row["of_linear"], row["program_bytes"]
        values += [f"{row['clips_per_second']:.1f}", f"{linear:.3f}" if linear else "-", f"{row['milliseconds']:.1f}"]
        values += [f"{memory / 1e9:.1f}" if memory else "-", f"{row['compile_seconds']:.0f}"]
    return "| " + " | ".join(map(str, values)) + " |"


if __name__ == "__main__":
    main()
