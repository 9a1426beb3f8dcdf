"""Clips per second against the number of GPUs, the batch of each GPU constant, and what each GPU holds, with and without FSDP.

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
import sys
import tempfile
from typing import Any

COLUMNS = "| config | GPUs | placement | batch | clips/s | of linear | ms | GB a GPU | compile, s |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", required=True, metavar="FILE.py[:ARG]")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2], help="numbers of GPUs (default 1 2)")
    parser.add_argument("--placements", nargs="+", choices=("data", "fsdp"), default=["data", "fsdp"])
    parser.add_argument("--batch_size", type=int, default=32, help="clips of each GPU (default 32)")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    parser.add_argument("flags", nargs="*", help="further flags of vivit bench")
    arguments = parser.parse_args()
    rows = []
    print(COLUMNS + "\n|" + "---|" * (COLUMNS.count("|") - 1), flush=True)
    for config in arguments.configs:
        linear = None
        for devices in arguments.devices:
            for placement in arguments.placements if devices > 1 else ["data"]:
                row = bench(config, devices, placement, arguments)
                linear = row["clips_per_second"] if devices == 1 else linear
                row["of_linear"] = row["clips_per_second"] / (devices * linear) if linear else None
                rows.append(row)
                print(line(row), flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def bench(config: str, devices: int, placement: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of one run."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "bench.json"
        command = [sys.executable, "-m", "vivit_jax", "bench", "--mode", "train", "--config", config, "--steps", str(arguments.steps)]
        command += ["--batch_size", str(devices * arguments.batch_size), "--json", str(report), *arguments.flags]
        command += ["--config.parallel.fsdp", str(devices)] if placement == "fsdp" else []
        visible = ",".join(str(number) for number in range(devices))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"CUDA_VISIBLE_DEVICES": visible})
        figures = json.loads(report.read_text())
    row = figures["rows"][0]
    if row["devices"] != devices:
        raise SystemExit(f"{devices} GPUs were asked for, and {row['devices']} found")
    return {"config": config, "placement": placement, "ceiling": figures["ceiling"], "environment": figures["environment"]} | row


def line(row: dict[str, Any]) -> str:
    """A row in Markdown."""
    linear = f"{row['of_linear']:.3f}" if row["of_linear"] else "-"
    values = [row["config"].partition(":")[2] or row["config"], row["devices"], row["placement"], row["batch_size"]]
    values += [f"{row['clips_per_second']:.1f}", linear, f"{row['milliseconds']:.1f}", f"{row['program_bytes'] / 1e9:.1f}"]
    return "| " + " | ".join(map(str, [*values, f"{row['compile_seconds']:.0f}"])) + " |"


if __name__ == "__main__":
    main()
