"""Where does the time of a step go on an NVIDIA GPU? Milliseconds by kernel and by kind of kernel, to train and to infer.

torch's profiler sees every kernel of the process, also JAX's, if torch is there first. On a machine with jax and torch for CUDA:

  python benchmarks/kernels.py --mode train --batch_size 32 --models 1,2,3,4 --json kernels.json
"""

import collections
import re
from collections.abc import Callable
from typing import Any

from script import add_json, make_parser, write_json

STEPS = 3
# The first kind whose pattern a kernel's name matches; cuBLAS calls its kernels nvjet, and XLA a fusion by what it does.
KINDS = {
    "attention": r"cudnn|flash|attend_over_time",
    "matrix products": r"nvjet|cublas|gemm|cutlass",
    "transposes and copies": r"transpose|copy",
    "the rest": r"",
}


def measure(mode: str, number: int, batch_size: int) -> dict[str, Any]:
    """Milliseconds a step of ViViT-B/16x2 of the paper's Model `number`, by kernel and by kind."""
    import torch.profiler  # noqa: F401  before jax: the profiler then sees its kernels

    # isort: split
    from vivit_jax.analysis import throughput
    from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    model = ViViTConfig(factorisation=FACTORISATIONS[number - 1], size="B", num_classes=400, dtype="bfloat16")
    subject = throughput.Subject(model, TrainingConfig(batch_size=batch_size), optimizer=OptimizerConfig(weight_decay=0.05))
    kernels = milliseconds_of(throughput.prepare(mode, subject).call)
    kinds = collections.Counter()
    for name, milliseconds in kernels.items():
        kinds[kind_of(name)] += milliseconds
    return {"mode": mode, "model": number, "batch_size": batch_size, "kinds": dict(kinds), "kernels": dict(kernels.most_common())}


def milliseconds_of(call: Callable[[], Any]) -> collections.Counter:
    """Milliseconds of one call by kernel, after a warm-up; the results of a call are not kept."""
    import torch.profiler

    # isort: split
    import jax

    jax.block_until_ready([call() for _ in range(STEPS)][-1])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        jax.block_until_ready([call() for _ in range(STEPS)][-1])
    kernels: collections.Counter = collections.Counter()
    for event in profiler.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            kernels[event.name] += event.device_time_total / 1e3 / STEPS
    return kernels


def kind_of(kernel: str) -> str:
    """The kind that a kernel's name tells."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, kernel, re.IGNORECASE))


def show(row: dict[str, Any], most: int = 12) -> None:
    """Prints the sums and the dearest kernels."""
    print(f"{row['mode']}, Model {row['model']}, batch {row['batch_size']}: {sum(row['kinds'].values()):.1f} ms of kernels a step")
    for kind in KINDS:
        print(f"{row['kinds'].get(kind, 0.0):10.2f} ms  {kind}")
    for name, milliseconds in list(row["kernels"].items())[:most]:
        print(f"{milliseconds:10.2f} ms      {name[:110]}")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--mode", choices=("train", "infer"), default="train")
    parser.add_argument("--models", type=lambda text: [int(number) for number in text.split(",")], default=[1], help="default 1")
    parser.add_argument("--batch_size", type=int, default=32, help="clips a step (default 32)")
    add_json(parser)
    arguments = parser.parse_args()
    rows = []
    for number in arguments.models:
        rows.append(measure(arguments.mode, number, arguments.batch_size))
        show(rows[-1])
    write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
