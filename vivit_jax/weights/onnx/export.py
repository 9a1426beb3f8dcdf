"""Writes a model as an ONNX file, and compares it with the model in onnxruntime where that is installed."""

import dataclasses
import importlib.util
import json
import pathlib

import jax
import numpy as np
import onnx
from jaxtyping import Array, Float

from vivit_jax import extras
from vivit_jax.errors import Stopped, UserError
from vivit_jax.heads import by_head
from vivit_jax.models.families import build, family_of
from vivit_jax.preprocess import Preprocess
from vivit_jax.versions import versions_of
from vivit_jax.weights.layers import flatten_variables, unflatten_variables
from vivit_jax.weights.model_dir import Pretrained
from vivit_jax.weights.onnx.lowering import VIDEO, lower

SUFFIX = ".onnx"
FILE, BESIDE = "model.onnx", "model.onnx.data"
LARGEST_FILE = 2_000_000_000  # bytes of constants; protobuf ends at 2^31
TOLERANCE = 1e-4  # of the largest logit, or of 1
UNNAMED = {True: "logits", False: "features"}  # the output of a model with one head, and of one without


def write_onnx(pretrained: Pretrained, out: pathlib.Path, *, batch: int | None = None) -> str:
    """An ONNX file whose input `video` is float32 (b, t, h, w, 3), normalised as `preprocess` in its metadata says.

    There is an output for each head, by its name: logits (b, classes) in float32. A single head's are called `logits`, and those of a model
    without a head `features`.

    Args:
      pretrained: the model.
      out: a file that ends in .onnx, or the directory to make; there, a model of more than 2 GB has its weights in a file of their own.
      batch: clips that the model takes at once; None for any number.

    Returns:
      What the comparison with onnxruntime found.

    Raises:
      UserError: for a model that this export cannot express.
      Stopped: if onnxruntime computes something else.
    """
    config = pretrained.model.config
    precision = {"dtype": "float32"} if hasattr(config, "dtype") else {}
    config = dataclasses.replace(family_of(config).plain(config), **precision)
    model = build(config)
    unnamed = UNNAMED[bool(config.heads)]

    def forward(variables: dict, video: Float[Array, "b t h w 3"]) -> dict[str, Float[Array, "b classes"]]:
        return {name or unnamed: logits for name, logits in by_head(model.apply(variables, video)).items()}

    if taken := [head for head in config.heads if head == VIDEO or head.startswith("/")]:
        raise UserError(f"a head named {taken[0]!r} cannot be exported to onnx, where that name means something else: export to stablehlo")
    flat = {path: np.asarray(leaf, np.float32) for path, leaf in flatten_variables(pretrained.variables).items()}
    variables = unflatten_variables(flat)
    graph, shape, outputs = lower(forward, variables, config.clip, batch)
    proto = graph.model(shape, outputs)
    onnx.helper.set_model_props(proto, _metadata(pretrained))
    path = _write(proto, out, graph.constant_bytes)
    return _compared(path, forward, variables, pretrained.preprocess, batch)


def _write(proto: onnx.ModelProto, out: pathlib.Path, size: int) -> pathlib.Path:
    if out.suffix == SUFFIX:
        if size > LARGEST_FILE:
            raise UserError(f"the model has {size / 1e9:.1f} GB, and an .onnx file holds 2: give a directory, which gets a second file")
        path = out
    else:
        out.mkdir(parents=True, exist_ok=True)
        path = out / FILE
    onnx.save_model(proto, path, save_as_external_data=size > LARGEST_FILE, location=BESIDE)
    onnx.checker.check_model(str(path))
    return path


def _metadata(pretrained: Pretrained) -> dict[str, str]:
    """The facts that a user of the file needs, as JSON by name."""
    values = {
        "preprocess": pretrained.preprocess.to_dict() | {"value_range": _value_range(pretrained.preprocess), "channels": "RGB"},
        "labels": pretrained.labels,
        "activation": pretrained.activation.__name__,
        "problem_type": pretrained.problem_type,
        "family": pretrained.model.config.family,
        "versions": versions_of("vivit_jax", "jax", "onnx"),
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _value_range(preprocess: Preprocess) -> list[float]:
    """The least and the largest value of a normalised pixel."""
    black, white = ([(value - mean) / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True)] for value in (0, 1))
    return [min(black), max(white)]


def _compared(path: pathlib.Path, forward: object, variables: dict, preprocess: Preprocess, batch: int | None) -> str:
    """Runs the file on random clips, as few as show that the batch is free, beside the model itself."""
    if importlib.util.find_spec("onnxruntime") is None:
        return f"not compared with onnxruntime, which is not installed: {extras.install('onnx')}"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    furthest = 0.0
    for count in (batch,) if batch else (1, 2):
        pixels = np.random.default_rng(count).integers(0, 256, (count, preprocess.frames, *preprocess.crop, 3), np.uint8)
        video = np.asarray(preprocess.normalise(pixels))
        with jax.default_matmul_precision("highest"):  # a GPU's float32 products have fewer digits
            expected = jax.jit(forward)(variables, video)
        for name, ours in zip(names, session.run(names, {VIDEO: video}), strict=True):
            difference, largest = (float(np.abs(values).max()) for values in (ours - np.asarray(expected[name]), expected[name]))
            furthest = max(furthest, difference)
            if not difference <= TOLERANCE * max(1.0, largest):
                raise Stopped(f"onnxruntime's {name} differ from the model's by {difference:.2g} of {largest:.2g}: nothing is written")
    return f"onnxruntime {onnxruntime.__version__} on CPU: largest difference {furthest:.2g} ({', '.join(names)})"
