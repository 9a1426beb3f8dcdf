"""What do the checksums of a checkpoint cost? Seconds to save a ViT-B with AdamW, and to hash what was saved.

  python benchmarks/manifest.py --json manifest.json

The state is that of ViViT-B/16x2 (Model 1, 400 classes): parameters and AdamW's two moments, float32. Hashing goes on in the background of
training; in per cent of a step it costs its seconds over those between two checkpoints.
"""

import pathlib
import tempfile
import time

import jax
import numpy as np
from script import add_json, make_parser, write_json

from vivit_jax.models.families import make_config
from vivit_jax.runs.checkpoint import Checkpoints
from vivit_jax.runs.manifest import damage, write_manifest
from vivit_jax.weights.parameters import parameter_shapes

STEP_SECONDS = 0.193  # of ViViT-B, batch 32, on one H200 (docs/performance.md)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--size", default="B", help="size of the backbone (default B)")
    parser.add_argument("--every", type=int, default=1000, help="steps between two checkpoints (default 1000)")
    add_json(parser)
    arguments = parser.parse_args()
    figures = measure(arguments.size, arguments.every)
    write_json(arguments.json, figures)
    for name, value in figures.items():
        print(f"{name:32} {value:.4g}")


def measure(size: str, every: int) -> dict[str, float]:
    """Seconds of each part, gigabytes, and per cent of the steps between two checkpoints."""
    shapes = parameter_shapes(make_config("vivit", {"size": size, "num_classes": 400}))
    rng = np.random.default_rng(0)
    params = {path: jax.device_put(rng.standard_normal(shape, np.float32)) for path, shape in shapes.items()}
    state = {"step": jax.numpy.zeros((), "int32"), "params": params, "mu": params, "nu": params}
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder) / "checkpoints"
        checkpoints = Checkpoints(directory, keep=1)
        begun = time.perf_counter()
        checkpoints.save(1, state, {})
        blocking = time.perf_counter() - begun
        checkpoints.finish()
        whole = time.perf_counter() - begun
        checkpoints.close()
        step = directory / "1"
        begun = time.perf_counter()
        write_manifest(step)
        hashing = time.perf_counter() - begun
        begun = time.perf_counter()
        assert damage(step) is None
        checking = time.perf_counter() - begun
        size_gb = sum(path.stat().st_size for path in step.rglob("*") if path.is_file()) / 1e9
    return {
        "gigabytes": size_gb,
        "seconds the step waits": blocking,
        "seconds in all": whole,
        "seconds to hash and write": hashing,
        "seconds to check on resuming": checking,
        "per cent of the steps between": 100 * hashing / (every * STEP_SECONDS),
    }


if __name__ == "__main__":
    main()
