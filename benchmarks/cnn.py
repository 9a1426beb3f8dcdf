"""The video ResNets beside torchvision's: ours, torchvision compiled and torchvision as it is, one table with ratios.

Each runs alone in a process of its own, in turns, on the same random uint8 clips of 16 x 112 x 112, which the step normalises: the
parameters are float32 and the computation bfloat16 (torch: autocast in training, bfloat16 weights to infer), channels last, by AdamW
(torch: fused). Steps are timed as for `peers.py`. On a machine with torch, torchvision and jax:

  python benchmarks/cnn.py --train 32 --infer 64 --rounds 3 --json cnn.json
  python benchmarks/cnn.py --architectures r3d_18 --train 2 --infer 2 --clip 4,32,32 --steps 2       # that everything runs, on a CPU
"""

import functools
import sys
from typing import Any

from side_by_side import Case, compare, make_parser, parse, report, time_ours, time_torch, write

ARCHITECTURES = ("r3d_18", "mc3_18", "r2plus1d_18")
CLIP, CLASSES = (16, 112, 112), 400


def measure_ours(convolutions: str, case: Case) -> dict[str, Any]:
    """Ours; `convolutions` says how they are computed."""
    from vivit_jax.models.families import make_config

    architecture, clip = _read(case)
    options = {"architecture": architecture, "clip": clip, "num_classes": CLASSES, "dtype": "bfloat16", "convolutions": convolutions}
    return time_ours(make_config("resnet3d", options), case)


def measure_torchvision(compiled: bool, case: Case) -> dict[str, Any]:
    """torchvision's, channels last."""
    architecture, clip = _read(case)
    return time_torch(make_torchvision(architecture), clip, CLASSES, compiled, case)


def make_torchvision(architecture: str) -> Any:
    """torchvision's model, channels last, for clips as ours are."""
    import torch
    import torchvision

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # its own search for the fastest algorithm

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = getattr(torchvision.models.video, architecture)().to(memory_format=torch.channels_last_3d)

        def forward(self, video: torch.Tensor) -> torch.Tensor:
            """(b, t, h, w, 3) to (b, classes); the permuted clip is channels last."""
            return self.model(video.permute(0, 4, 1, 2, 3))

    return Logits()


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
    parser = make_parser(__doc__, PEERS, train=32, infer=64)
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES, metavar="NAME")
    parser.add_argument("--clip", default=",".join(map(str, CLIP)), metavar="T,H,W", help="frames and pixels (default 16,112,112)")
    arguments = parse(parser, PEERS)
    rows = []
    for architecture in arguments.architectures:
        arguments.size, arguments.activation = f"{architecture} {arguments.clip}", ""
        found = compare(arguments, __file__)
        print(f"\n{architecture}, clips of {arguments.clip}")
        report(found)
        rows += found
    return write(rows, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
