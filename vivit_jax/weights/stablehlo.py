"""Writes a model as a StableHLO program, from uint8 pixels to logits, beside a script that runs it without this package."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from vivit_jax.atomic import write_json
from vivit_jax.models.families import build, family_of
from vivit_jax.versions import versions_of
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.model_json import WEIGHTS
from vivit_jax.weights.tensors import write_safetensors

PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM = "model.stablehlo"
# https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees
PROMISE = (
    "made by jax {jax}: a jax up to 6 months newer or 3 weeks older is promised to run it; a later one tries with "
    "JAX_EXPORT_DESERIALIZE_EXPIRED_VERSIONS=1; the model directory does not age: keep it to export again"
)


def export_stablehlo(pretrained: Pretrained, out: pathlib.Path) -> str:
    """A `jax.export` program, the parameters it takes, the labels, and a script that runs it.

    The program maps (parameters by path, uint8 video (b, t, h, w, 3)) to float32 logits (b, classes), or a dict of these for several
    heads. It normalises pixels itself, so that they cannot be normalised otherwise than the weights were trained.

    Returns:
      How long JAX promises to read the program.
    """
    config = pretrained.model.config
    precision = {"dtype": config.dtype} if hasattr(config, "dtype") else {}
    config = dataclasses.replace(family_of(config).plain(config), **precision)
    params = {path: np.ascontiguousarray(array, np.float32) for path, array in flatten_variables(pretrained.variables).items()}

    def forward(params: dict[str, jax.Array], video: jax.Array) -> jax.Array:
        pixels = pretrained.preprocess.normalise(video, jnp.float32)
        return build(config).apply(unflatten_variables(params), pixels)

    (batch,) = jax_export.symbolic_shape("b")
    shapes = {path: jax.ShapeDtypeStruct(array.shape, array.dtype) for path, array in params.items()}
    video = jax.ShapeDtypeStruct((batch, *config.clip, 3), jnp.uint8)
    with _without_source_places():
        program = jax_export.export(jax.jit(forward), platforms=PLATFORMS)(shapes, video)
    out.mkdir(parents=True, exist_ok=True)
    (out / PROGRAM).write_bytes(program.serialize())
    write_safetensors(out / WEIGHTS, params)
    write_json(out / "labels.json", pretrained.labels)
    write_json(out / "preprocess.json", pretrained.preprocess.to_dict())
    write_json(out / "outputs.json", {"activation": pretrained.activation.__name__})
    versions = versions_of("vivit_jax", "jax", "jaxlib")
    write_json(out / "versions.json", versions | {"calling_convention": program.calling_convention_version})
    (out / "run.py").write_text(RUN_SCRIPT, encoding="utf-8")
    return PROMISE.format(jax=versions["jax"])


@contextlib.contextmanager
def _without_source_places() -> Iterator[None]:
    """Leaves out where in which file each operation was written: the paths tell of this machine, and would make other bytes on another."""
    before = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


RUN_SCRIPT = '''"""Runs model.stablehlo on videos, with nothing but jax, numpy and safetensors.

    python run.py clip.npy      uint8 frames (t, h, w, 3) or (b, t, h, w, 3), as preprocess.json says: resized and cropped
"""

import json
import pathlib
import sys

import jax
import numpy as np
from jax import export
from safetensors.numpy import load_file

here = pathlib.Path(__file__).parent
try:
    program = export.deserialize(bytearray((here / "model.stablehlo").read_bytes()))
except Exception as error:
    made_by = json.loads((here / "versions.json").read_text())["jax"]
    hint = "JAX_EXPORT_DESERIALIZE_EXPIRED_VERSIONS=1 makes it try, or export the model again"
    sys.exit(f"jax {jax.__version__} cannot read this program of jax {made_by}: {error}\\nOne over 6 months older is refused: {hint}")
params = jax.device_put(load_file(here / "model.safetensors"))
labels = json.loads((here / "labels.json").read_text(encoding="utf-8"))
probabilities = getattr(jax.nn, json.loads((here / "outputs.json").read_text())["activation"])  # softmax, or sigmoid of several labels


def logits(video):
    """uint8 (b, t, h, w, 3) to float32 (b, classes), or a dict of these by head."""
    return program.call(params, video)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].endswith(".npy"):
        sys.exit(__doc__)
    video = np.load(sys.argv[1], allow_pickle=False)
    scores = logits(video if video.ndim == 5 else video[None])
    for head, values in (scores if isinstance(scores, dict) else {"": scores}).items():
        names = labels[head] if head else labels
        for row in np.asarray(probabilities(values)) if names else ():
            print(head, *(f"{names[i]} {row[i]:.4f}" for i in np.argsort(-row)[:5]), sep="  ")
        if not names:
            print(np.asarray(values))
'''
