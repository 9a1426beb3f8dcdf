"""What makes the video ResNets fast on a GPU: each rearrangement of `Computation` alone and all of them, with and without XLA's flags.

Each network is trained and run as it was before, with one change at a time, with all, and by torchvision's compiled one; a line says clips
a second and where the milliseconds of a step go, by torch's profiler, which sees XLA's kernels too. A part (network and mode, ours or
torchvision's) has a process of its own, whose end costs only what it had not measured yet.

Time is divided over networks and modes, and the variants that tell most come first: 4 minutes are enough for these, 9 for all.

  python benchmarks/cnn_variants.py OUT
  python benchmarks/cnn_variants.py OUT --seconds 570
  python benchmarks/cnn_variants.py OUT --clip 4,16,16 --batches 2,2 --steps 1 --seconds 2000     # that everything runs, on a CPU
"""

import argparse
import collections
import dataclasses
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
NETWORKS, MODES, LIBRARIES = ("r3d_18", "r2plus1d_18"), ("train", "infer"), ("ours", "torchvision")
CLASSES, WARM_UP, TURNS = 400, 3, 3

NHWC = {"xla_gpu_force_conv_nhwc": True}
ALL = ("as_2d", "in_eights", "in_blocks", "one_pass", "folded")
# Name, fields of `Computation` that are True, flags of XLA; the most telling first, since time may run out.
VARIANTS: tuple[tuple[str, tuple[str, ...], dict[str, bool]], ...] = (
    ("before", ("as_2d",), {}),
    ("all", ALL, NHWC),
    ("nhwc", ("as_2d",), NHWC),
    ("eights", ("as_2d", "in_eights"), NHWC),
    ("one pass", ("as_2d", "one_pass"), NHWC),
    ("folded", ("as_2d", "folded"), NHWC),
    ("all, conv fusion", ALL, NHWC | {"xla_gpu_experimental_enable_conv_fusion": True}),
    ("blocks", ("as_2d", "in_eights", "in_blocks"), NHWC),
    ("all, 3d", ALL[1:], NHWC),
    ("all, xla's choice of layout", ALL, {}),
    ("all, deterministic", ALL, NHWC | {"xla_gpu_deterministic_ops": True}),
)
ONLY = {"one pass": "train", "folded": "infer", "all, conv fusion": "infer", "all, deterministic": "train"}

# The first kind whose pattern a kernel's name matches. Names of convolutions hold layouts too.
KINDS = {
    "layouts and copies": r"nchwtonhwc|nhwctonchw|tensortransform|transpose|copy|memcpy|memset|wrapped_pad|triton_.*_permute",
    "convolutions": r"xmma|fprop|dgrad|wgrad|implicit|conv|cudnn|cutlass_tensorop|cutlass__5x",
    "matrix products": r"nvjet|cublas|gemm|cutlass",
    "sums over places": r"reduc|triton_red|triton_per",
    "element by element": r"fusion|triton|elementwise|loop_|foreach|multi_tensor",
    "the rest": r"",
}


@dataclasses.dataclass(frozen=True)
class Part:
    """What one process measures."""

    network: str
    mode: str
    library: str
    batch_size: int
    clip: tuple[int, ...]
    steps: int
    seconds: float


def measure_ours(part: Part) -> None:
    """A line for each variant."""
    deadline = time.monotonic() + part.seconds
    import torch.profiler  # noqa: F401  before jax: the profiler then sees its kernels

    # isort: split
    import jax

    from vivit_jax.analysis import throughput
    from vivit_jax.models.convolutional.computation import Computation
    from vivit_jax.models.families import make_config
    from vivit_jax.models.resnet3d import model as resnet
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig
    from vivit_jax.training.devices import executors

    jax.config.update("jax_enable_compilation_cache", False)
    options = {"architecture": part.network, "clip": part.clip, "num_classes": CLASSES, "dtype": "bfloat16"}
    config, usual = make_config("resnet3d", options), executors._compiler_options
    subject = throughput.Subject(
        config, TrainingConfig(batch_size=part.batch_size), optimizer=OptimizerConfig(learning_rate=1e-5, weight_decay=0.05)
    )
    for name, fields, flags in VARIANTS:
        if ONLY.get(name, part.mode) != part.mode:
            continue
        if time.monotonic() > deadline:
            say(part, {"variant": name, "error": "no time left"})
            continue
        resnet.computation_of = lambda _, fields=fields: Computation(**dict.fromkeys(fields, True))
        executors._compiler_options = lambda flags=flags: (
            {key: value for key, value in (usual() or {}).items() if key not in NHWC} | flags if jax.default_backend() == "gpu" else None
        )
        try:
            prepared = throughput.prepare(part.mode, subject)
            row = timed(prepared.call, part, jax.block_until_ready)
            say(part, {"variant": name, "compile_seconds": prepared.compile_seconds, "device": jax.devices()[0].device_kind} | row)
        except Exception as error:  # the next variant may work
            say(part, {"variant": name, "error": f"{type(error).__name__}: {error}"[:300]})


def measure_torchvision(part: Part) -> None:
    """A line for torchvision's network, compiled."""
    import torch
    from cnn import make_torchvision
    from side_by_side import Case, torch_step

    case = Case(part.mode, part.batch_size, part.network, part.steps, "", "default")
    call = torch_step(make_torchvision(part.network), part.clip, CLASSES, True, case)
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    start = time.perf_counter()
    call()
    wait()
    compiling = time.perf_counter() - start
    say(part, {"variant": "torchvision", "compile_seconds": compiling} | timed(call, part, lambda _: wait()))


def timed(call: Callable[[], Any], part: Part, wait: Callable[[Any], Any]) -> dict[str, Any]:
    """Milliseconds of a step (the median of some turns, with all of them), and of its kernels by kind."""
    import torch.profiler

    def turn(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            last = call()
        wait(last)
        return 1e3 * (time.perf_counter() - start) / steps

    turn(WARM_UP)
    turns = [turn(part.steps) for _ in range(TURNS)]
    row = {"milliseconds": statistics.median(turns), "turns": turns}
    if not torch.cuda.is_available():
        return row
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        turn(WARM_UP)
    kernels: collections.Counter = collections.Counter()
    for event in profiler.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            kernels[event.name] += event.device_time_total / 1e3 / WARM_UP
    kinds: collections.Counter = collections.Counter()
    for name, milliseconds in kernels.items():
        kinds[kind_of(name)] += milliseconds
    return row | {"kinds": dict(kinds), "kernels": {name[:120]: value for name, value in kernels.most_common(25)}}


def kind_of(kernel: str) -> str:
    """The kind that a kernel's name tells."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, kernel, re.IGNORECASE))


def say(part: Part, row: dict[str, Any]) -> None:
    """Prints a row for the process that started this one."""
    speed = {"clips_per_second": 1e3 * part.batch_size / row["milliseconds"]} if "milliseconds" in row else {}
    print(json.dumps({"network": part.network, "mode": part.mode, "batch_size": part.batch_size} | row | speed), flush=True)


def run_part(part: Part, out: pathlib.Path, seconds: float) -> list[dict[str, Any]]:
    """The rows of a part that were there when it ended, or when its time was over."""
    log = out / f"{part.network}-{part.mode}-{part.library}.jsonl"
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # Convolutions are tried out once for all variants that have them.
    cache = f"--xla_gpu_per_fusion_autotune_cache_dir={out.resolve() / 'autotuned'}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {cache}".strip()
    command = [sys.executable, __file__, str(out), "--part", json.dumps(dataclasses.asdict(part))]
    ended = ""
    with log.open("w") as lines, log.with_suffix(".err").open("w") as errors:
        try:
            done = subprocess.run(
                command, stdout=lines, stderr=errors, env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": flags}, timeout=seconds
            )
            ended = f"exit code {done.returncode}, see {log.with_suffix('.err').name}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds:.0f} s"
    rows = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return rows + ([{"network": part.network, "mode": part.mode, "variant": part.library, "error": ended}] if ended else [])


def show(rows: list[dict[str, Any]]) -> None:
    """Prints the rows of one network and mode."""
    peer = next((row["clips_per_second"] for row in rows if row["variant"] == "torchvision" and "error" not in row), None)
    print(f"\n{rows[0]['network']}, {rows[0]['mode']}")
    for row in rows:
        if "error" in row:
            print(f"  {row['variant']:28} {row['error']}")
            continue
        ratio = f"{row['clips_per_second'] / peer:.2f}x torchvision" if peer else ""
        print(f"  {row['variant']:28}{row['clips_per_second']:9.1f} clips/s {row['milliseconds']:8.2f} ms  {ratio}")
        for kind, milliseconds in sorted(row.get("kinds", {}).items(), key=lambda item: -item[1]):
            print(f"      {milliseconds:8.2f} ms  {kind}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="folder for cnn_variants.json and what each process said")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--clip", default="16,112,112", metavar="T,H,W")
    parser.add_argument("--batches", default="32,64", metavar="TRAIN,INFER", help="clips a step (default 32,64)")
    parser.add_argument("--steps", type=int, default=10, help=f"timed steps in each of {TURNS} turns (default 10)")
    parser.add_argument("--seconds", type=float, default=235, help="after which nothing is begun or left running (default 235)")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part = Part(**json.loads(arguments.part))
        (measure_ours if part.library == "ours" else measure_torchvision)(part)
        return 0
    (arguments.out / "autotuned").mkdir(parents=True, exist_ok=True)
    sizes = dict(zip(MODES, map(int, arguments.batches.split(",")), strict=True))
    clip = tuple(map(int, arguments.clip.split(",")))
    cases = [(network, mode) for mode in arguments.modes for network in arguments.networks]
    deadline = time.monotonic() + arguments.seconds
    found: list[dict[str, Any]] = []
    for number, (network, mode) in enumerate(cases):
        rows: list[dict[str, Any]] = []
        end = time.monotonic() + (deadline - time.monotonic()) / (len(cases) - number)
        for library in reversed(arguments.libraries):  # torchvision has at most half of the time, and what it leaves is ours
            left = (end - time.monotonic()) * (0.5 if (library, len(arguments.libraries)) == ("torchvision", 2) else 1.0)
            part = Part(network, mode, library, sizes[mode], clip, arguments.steps, max(left - 15, 1))
            rows += run_part(part, arguments.out, max(left, 1))
        show(rows)
        found += rows
        (arguments.out / "cnn_variants.json").write_text(json.dumps(found, indent=2) + "\n")
    return int(any("error" in row for row in found))


if __name__ == "__main__":
    sys.exit(main())
