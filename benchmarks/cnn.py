"""The video ResNets beside torchvision's: ours, torchvision compiled and torchvision as it is, one table with ratios.

Each runs alone in a process of its own, in turns, on the same random uint8 clips of 16 x 112 x 112, which the step normalises: the
parameters are float32 and the computation bfloat16 (torch: autocast in training, bfloat16 weights to infer), channels last, by AdamW
(torch: fused). Steps are timed as `peers.py` times them. On a machine with torch, torchvision and jax:

  python benchmarks/cnn.py --train 32 --infer 64 --rounds 3 --json cnn.json
  python benchmarks/cnn.py --architectures r3d_18 --train 2 --infer 2 --clip 4,32,32 --steps 2       # that everything runs, on a CPU
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import sys
from typing import Any

from peers import LEARNING_RATE, WEIGHT_DECAY, Case, compare, report, time_torch

ARCHITECTURES = ("r3d_18", "mc3_18", "r2plus1d_18")
CLIP, CLASSES = (16, 112, 112), 400


def measure_ours(convolutions: str, case: Case) -> dict[str, Any]:
    """Ours, through what `vivit bench` measures with; `convolutions` says how they are computed."""
    import jax

    from vivit_jax.analysis import throughput
    from vivit_jax.models.families import make_config
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    architecture, clip = _read(case)
    options = {"architecture": architecture, "clip": clip, "num_classes": CLASSES, "dtype": "bfloat16", "convolutions": convolutions}
    subject = throughput.Subject(
        make_config("resnet3d", options),
        TrainingConfig(batch_size=case.batch_size),
        optimizer=OptimizerConfig(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY),
    )
    jax.config.update("jax_enable_compilation_cache", False)
    timing = throughput.measure(case.mode, subject, steps=case.steps)
    ceiling = throughput.matrix_ceiling()
    return timing.to_row(ceiling) | {
        "peak_bytes": timing.peak_bytes or timing.program_bytes,
        "ceiling": dataclasses.asdict(ceiling),
        "environment": throughput.environment(),
    }


def measure_torchvision(compiled: bool, case: Case) -> dict[str, Any]:
    """torchvision's, channels last."""
    import torch
    import torchvision

    architecture, clip = _read(case)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # its own search for the fastest algorithm

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = getattr(torchvision.models.video, architecture)().to(memory_format=torch.channels_last_3d)

        def forward(self, video: torch.Tensor) -> torch.Tensor:
            """(b, t, h, w, 3) to (b, classes); the permuted clip is channels last."""
            return self.model(video.permute(0, 4, 1, 2, 3))

    return time_torch(Logits(), clip, CLASSES, compiled, case)


def _read(case: Case) -> tuple[str, tuple[int, ...]]:
    """The architecture and the clip of a case, which stand in its size."""
    architecture, clip = case.size.split()
    return architecture, tuple(map(int, clip.split(",")))


PEERS = {
    "ours": functools.partial(measure_ours, "auto"),
    "ours, 3d": functools.partial(measure_ours, "3d"),
    "ours, 2d": functools.partial(measure_ours, "2d"),
    "tv, compiled": functools.partial(measure_torchvision, True),
    "torchvision": functools.partial(measure_torchvision, False),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = functools.partial(map, int)
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES, metavar="NAME")
    parser.add_argument("--train", type=lambda text: list(numbers(text.split(","))), default=[32], metavar="N,...")
    parser.add_argument("--infer", type=lambda text: list(numbers(text.split(","))), default=[64], metavar="N,...")
    parser.add_argument("--peers", type=lambda text: text.split(";"), default=list(PEERS), metavar="NAME;...", help="; ".join(PEERS))
    parser.add_argument("--clip", default=",".join(map(str, CLIP)), metavar="T,H,W", help="frames and pixels (default 16,112,112)")
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
    rows = []
    for architecture in arguments.architectures:
        arguments.size, arguments.activation = f"{architecture} {arguments.clip}", ""
        found = compare(arguments, __file__)
        print(f"\n{architecture}, clips of {arguments.clip}")
        report(found)
        rows += found
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
