"""R3D-18, MC3-18 and R(2+1)D-18: ours in both ways of computing, and torchvision's, eager and under `torch.compile`, one table with ratios.

As in `peers.py`, whose helpers time and report: each runs alone in a process of its own, in turns, on the same random uint8 clips, which
the step normalises. The parameters are float32 and the computation bfloat16 in training (torch: autocast), by SGD with momentum; to infer,
torch's weights are bfloat16 too. torch's are channels last (`channels_last_3d`), with cuDNN's own search for the fastest algorithm.

  python benchmarks/cnn.py --architecture r3d_18 --train 16,32 --infer 32,64 --rounds 3 --json cnn.json
  python benchmarks/cnn.py --size tiny --train 2 --infer 2 --steps 2        # that everything runs, on a CPU
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import peers  # noqa: E402

LEARNING_RATE, MOMENTUM = 1e-5, 0.9
ARCHITECTURES = ("r3d_18", "mc3_18", "r2plus1d_18")
CLASSES = 400
CLIPS = {"paper": (16, 112, 112), "tiny": (4, 32, 32)}


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement."""

    architecture: str
    mode: str
    batch_size: int
    size: str
    steps: int
    compile_mode: str


def measure_ours(convolutions: str, case: Case) -> dict[str, Any]:
    """Ours, through what `vivit bench` measures with."""
    import jax

    from vivit_jax.analysis import complexity, throughput
    from vivit_jax.models.families import make_config
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    options = {"architecture": case.architecture, "clip": CLIPS[case.size], "num_classes": CLASSES}
    model = make_config("resnet3d", options | {"dtype": "bfloat16", "convolutions": convolutions})
    subject = throughput.Subject(
        model,
        TrainingConfig(batch_size=case.batch_size),
        optimizer=OptimizerConfig(name="sgd", learning_rate=LEARNING_RATE, momentum=MOMENTUM, weight_decay=0.0),
    )
    jax.config.update("jax_enable_compilation_cache", False)
    timing = throughput.measure(case.mode, subject, steps=case.steps)
    ceiling = throughput.matrix_ceiling()
    return timing.to_row(ceiling) | {
        "peak_bytes": timing.peak_bytes or timing.program_bytes,
        "parameters": complexity.count_parameters(model),
        "ceiling": dataclasses.asdict(ceiling),
        "environment": throughput.environment(),
    }


def measure_torchvision(compiled: bool, case: Case) -> dict[str, Any]:
    """torchvision's steps: uint8 to an update, or to logits."""
    import time

    import torch
    import torchvision

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = np.random.default_rng(0)
    video = torch.from_numpy(generator.integers(0, 256, (case.batch_size, *CLIPS[case.size], 3), np.uint8)).to(device)
    label = torch.from_numpy(generator.integers(0, CLASSES, case.batch_size)).to(device)
    model = getattr(torchvision.models.video, case.architecture)(num_classes=CLASSES)
    model = model.to(device, memory_format=torch.channels_last_3d)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    call = (_training_step if case.mode == "train" else _inference_step)(model, video, label, compiled, case)
    start = time.perf_counter()
    call()
    peers._synchronise(device)
    first = time.perf_counter() - start
    seconds, last = peers._time(call, case.steps, device)
    if not torch.isfinite(last).all():
        raise RuntimeError("numbers that are not finite: their time says nothing")
    median = float(np.median(seconds))
    return {
        "clips_per_second": case.batch_size / median,
        "milliseconds": 1e3 * median,
        "milliseconds_quartiles": [1e3 * float(np.quantile(seconds, share)) for share in (0.25, 0.75)],
        "compile_seconds": first - median,
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
        "parameters": parameters,
        "environment": {"versions": {name: peers._version(name) for name in ("torch", "torchvision", "triton")}},
    }


def _pixels(video: Any) -> Any:
    """(b, t, h, w, 3) uint8 to (b, 3, t, h, w) in [-1, 1], which lies channels last in memory as the clips do."""
    return video.float().div(127.5).sub(1).permute(0, 4, 1, 2, 3)


def _training_step(model: Any, video: Any, label: Any, compiled: bool, case: Case) -> Callable[[], Any]:
    import torch

    model.train()
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=MOMENTUM, fused=True)

    def loss_of(video: Any, label: Any) -> Any:
        with torch.autocast(video.device.type, torch.bfloat16):
            logits = model(_pixels(video))
        return torch.nn.functional.cross_entropy(logits.float(), label)

    loss_of = torch.compile(loss_of, mode=case.compile_mode) if compiled else loss_of

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(video, label)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _inference_step(model: Any, video: Any, label: Any, compiled: bool, case: Case) -> Callable[[], Any]:
    import torch

    del label
    model = model.to(torch.bfloat16).eval()

    def logits_of(video: Any) -> Any:
        return model(_pixels(video).to(torch.bfloat16)).float()

    logits_of = torch.compile(logits_of, mode=case.compile_mode) if compiled else logits_of

    def step() -> Any:
        with torch.inference_mode():
            return logits_of(video)

    return step


PEERS = {
    "ours": functools.partial(measure_ours, "3d"),
    "ours, 2d": functools.partial(measure_ours, "2d"),
    "tv, compiled": functools.partial(measure_torchvision, True),
    "tv, eager": functools.partial(measure_torchvision, False),
}


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each architecture, mode, batch and peer: the round of median speed."""
    cases = [
        Case(architecture, mode, batch_size, arguments.size, arguments.steps, arguments.compile_mode)
        for architecture in arguments.architecture
        for mode in ("train", "infer")
        for batch_size in getattr(arguments, mode)
    ]
    rounds: dict[tuple[Case, str], list[dict]] = {}
    for number in range(arguments.rounds):
        for case in cases:
            for peer in arguments.peers:
                row = alone(peer, case)
                said = row.get("error") or f"{row['clips_per_second']:.4g} clips/s"
                print(f"round {number + 1}, {case.architecture}, {case.mode}, batch {case.batch_size}, {peer}: {said}", file=sys.stderr)
                rounds.setdefault((case, peer), []).append(row)
    return [{"peer": peer} | dataclasses.asdict(case) | peers._median(rows) for (case, peer), rows in rounds.items()]


def alone(peer: str, case: Case) -> dict[str, Any]:
    """Measures in a process of its own; what went wrong in it is `error`."""
    command = [sys.executable, __file__, "--measure", peer, json.dumps(dataclasses.asdict(case))]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    if done.returncode:
        return {"error": next(iter(done.stderr.strip().splitlines()[-1:]), f"exit code {done.returncode}")[:200]}
    return json.loads(done.stdout.splitlines()[-1])


def _names(known: tuple[str, ...], separator: str) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(separator)
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown {unknown[0]!r}: {separator.join(known)}")
        return names

    return parse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", type=_names(ARCHITECTURES, ","), default=["r3d_18", "r2plus1d_18"], metavar="NAME,...")
    parser.add_argument("--train", type=peers._numbers, default=[32], metavar="N,...", help="batch sizes to train with (default 32)")
    parser.add_argument("--infer", type=peers._numbers, default=[32], metavar="N,...", help="batch sizes to infer with (default 32)")
    parser.add_argument("--peers", type=_names(tuple(PEERS), ";"), default=list(PEERS), metavar="NAME;...", help="; ".join(PEERS))
    parser.add_argument("--size", choices=CLIPS, default="paper", help="16x112x112, or 4x32x32 to try the benchmark itself")
    parser.add_argument("--steps", type=int, default=20, help="timed steps (default 20)")
    parser.add_argument("--rounds", type=int, default=1, help="turns that each takes; the median counts (default 1)")
    parser.add_argument("--compile_mode", default="default", help="of torch.compile (default 'default')")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    parser.add_argument("--measure", nargs=2, metavar=("PEER", "CASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        peer, case = arguments.measure
        print(json.dumps(PEERS[peer](Case(**json.loads(case)))))
        return 0
    rows = compare(arguments)
    for architecture in arguments.architecture:
        print(architecture)
        peers.report([row for row in rows if row["architecture"] == architecture])
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
