import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from vivit_jax import cli  # noqa: E402
from vivit_jax.errors import UserError  # noqa: E402
from vivit_jax.heads import by_head  # noqa: E402
from vivit_jax.models.families import create_model  # noqa: E402
from vivit_jax.preprocess import Preprocess  # noqa: E402
from vivit_jax.weights import Pretrained, load_model_dir, save_pretrained  # noqa: E402
from vivit_jax.weights.export import export  # noqa: E402

VIVIT = {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 16, "tubelet": (2, 4, 4), "clip": (4, 8, 8), "num_classes": 3}
CNN = {"family": "fusion_cnn", "filters": (4, 4, 6, 6, 4), "hidden": (8, 8), "clip": (10, 32, 32), "num_classes": 3}
RESNET = {"family": "resnet3d", "width": 4, "clip": (4, 16, 16), "num_classes": 3}
X3D = {"family": "x3d", "width": 8, "clip": (3, 32, 32), "num_classes": 3}
BACKBONE = {"family": "vivit", "factorisation": "factorised_encoder", "temporal_layers": 1} | VIVIT | {"num_classes": None}
FACTORISATIONS = (
    "spatio_temporal_attention",
    "factorised_encoder",
    "factorised_self_attention",
    "factorised_dot_product_attention",
)
slow = pytest.mark.slow


def random_model(**options):
    """A model with random weights and statistics, whose variances are positive."""
    model = create_model(**options)
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, *model.config.clip, 3), np.float32))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) * 0.3, shapes)
    if "bank" in variables:  # shares of classes
        variables["bank"] = jax.tree.map(np.abs, variables["bank"])
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(lambda leaf: np.abs(leaf) + 0.5, variables["batch_stats"])
    frames, *crop = model.config.clip
    preprocess = Preprocess(frames, 2, max(crop), tuple(crop), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    labels = {head: tuple(f"{head}{i}" for i in range(count)) for head, count in model.config.heads.items()}
    return Pretrained(model, dict(variables), preprocess, labels.get("", labels or ()))


def run(path, video):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"video": video}), strict=True))


def test_heads_may_have_the_names_of_a_graphs_own_values(tmp_path):
    model = random_model(**RESNET | {"num_classes": {"constant_0": 2, "integers_1": 3, "logits": 4}})
    assert "largest difference" in export(model, "onnx", tmp_path / "model.onnx")
    assert {name: rows.shape for name, rows in run(tmp_path / "model.onnx", np.zeros((1, 4, 16, 16, 3), np.float32)).items()} == {
        "constant_0": (1, 2),
        "integers_1": (1, 3),
        "logits": (1, 4),
    }


@pytest.mark.parametrize(
    "options",
    [
        VIVIT | {"factorisation": FACTORISATIONS[3]},
        *(pytest.param(VIVIT | {"factorisation": name}, marks=slow) for name in FACTORISATIONS[:3]),
        pytest.param(VIVIT | {"factorisation": FACTORISATIONS[1], "scan_layers": True, "activation": "gelu", "pool": "mean"}, marks=slow),
        pytest.param(VIVIT | {"factorisation": FACTORISATIONS[0], "tokenizer": "frames", "tubelet": (1, 4, 4)}, marks=slow),
        pytest.param(VIVIT | {"factorisation": FACTORISATIONS[2], "num_classes": {"verb": 3, "noun": 4}}, marks=slow),
        pytest.param(VIVIT | {"factorisation": FACTORISATIONS[3], "num_classes": None}, marks=slow),
        pytest.param(RESNET | {"architecture": "r3d_18"}, marks=slow),
        pytest.param(RESNET | {"architecture": "i3d_50"}, marks=slow),
        pytest.param(RESNET | {"architecture": "r2plus1d_18"}, marks=slow),
        pytest.param(X3D, marks=slow),
        pytest.param(CNN | {"fusion": "slow"}, marks=slow),
        pytest.param(CNN | {"fusion": "late", "clip": (2, 32, 32), "multiresolution": True}, marks=slow),
        pytest.param({"family": "probe", "backbone": BACKBONE, "num_classes": 3, "rows": 9, "neighbours": 4}, marks=slow),
    ],
    ids=lambda options: "-".join(str(value) for name, value in options.items() if name in ("factorisation", "architecture", "fusion")),
)
def test_onnxruntime_gives_our_logits_for_any_number_of_clips(tmp_path, options):
    model = random_model(**options)
    told = export(model, "onnx", tmp_path / "model.onnx")
    assert "largest difference" in told
    pixels = np.random.default_rng(0).integers(0, 256, (3, *model.model.config.clip, 3), np.uint8)  # the export itself tries one and two
    video = np.asarray(model.preprocess.normalise(pixels))
    expected = by_head(jax.jit(model.model.apply)(model.variables, video))
    outputs = run(tmp_path / "model.onnx", video)
    names = [name or ("logits" if model.model.config.heads else "features") for name in expected]
    assert sorted(outputs) == sorted(names)
    for name, logits in zip(names, expected.values(), strict=True):
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], logits, atol=1e-4 * max(1, np.abs(logits).max()))


def test_the_command_writes_a_fixed_batch_and_what_the_pixels_must_be(tmp_path, capsys):
    import onnx

    model = random_model(**VIVIT, factorisation="factorised_encoder", temporal_layers=1)
    save_pretrained(tmp_path / "model", model.model.config, model.variables, model.preprocess, model.labels)
    assert cli.main(["export", "--model", str(tmp_path / "model"), "--to", "onnx", "--batch", "2", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "model.onnx" in printed
    assert float(printed.split("largest difference ")[1].split()[0]) < 1e-5
    written = onnx.load(tmp_path / "out" / "model.onnx")
    assert [size.dim_value for size in written.graph.input[0].type.tensor_type.shape.dim] == [2, 4, 8, 8, 3]
    told = {prop.key: json.loads(prop.value) for prop in written.metadata_props}
    again = load_model_dir(tmp_path / "model")
    assert told["labels"] == list(again.labels)
    assert told["activation"] == "softmax"
    extremes = again.preprocess.normalise(np.array([0, 255], np.uint8).reshape(1, 2, 1, 1, 1).repeat(3, -1))
    assert told["preprocess"].pop("value_range") == pytest.approx([float(extremes.min()), float(extremes.max())], abs=1e-5)
    assert told["preprocess"].pop("channels") == "RGB"
    assert Preprocess(**told["preprocess"]) == again.preprocess
    with pytest.raises(Exception, match="invalid dimensions"):
        run(tmp_path / "out" / "model.onnx", np.zeros((3, 4, 8, 8, 3), np.float32))


def test_what_onnx_cannot_have_is_refused_in_one_line(tmp_path, monkeypatch):
    head = random_model(**VIVIT | {"num_classes": {"video": 2}}, factorisation="factorised_encoder", temporal_layers=1)
    with pytest.raises(UserError, match=r"head named 'video' .* export to stablehlo"):
        export(head, "onnx", tmp_path / "out.onnx")
    with pytest.raises(UserError, match="--batch is for onnx"):
        export(head, "stablehlo", tmp_path / "out", batch=2)
    monkeypatch.setattr("vivit_jax.weights.onnx.lowering.PRIMITIVES", {})
    with pytest.raises(UserError, match=r"the model computes \w+, .* export to stablehlo"):
        export(random_model(**VIVIT, factorisation="factorised_encoder"), "onnx", tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_that_onnxruntime_runs_otherwise_is_not_written(tmp_path, monkeypatch):
    from vivit_jax.errors import Stopped
    from vivit_jax.weights.onnx import primitives

    monkeypatch.setitem(primitives.PRIMITIVES, "exp", primitives.elementwise("Abs"))
    with pytest.raises(Stopped, match="differ from the model's by"):
        export(random_model(**VIVIT, factorisation="factorised_encoder"), "onnx", tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


@slow
def test_a_model_too_large_for_one_file_has_its_weights_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("vivit_jax.weights.onnx.export.LARGEST_FILE", 100)
    model = random_model(**VIVIT, factorisation="factorised_encoder")
    with pytest.raises(UserError, match="give a directory"):
        export(model, "onnx", tmp_path / "out.onnx")
    export(model, "onnx", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["model.onnx", "model.onnx.data"]
    video = np.asarray(model.preprocess.normalise(np.full((1, 4, 8, 8, 3), 9, np.uint8)))
    logits = run(tmp_path / "out" / "model.onnx", video)["logits"]
    np.testing.assert_allclose(logits, model.model.apply(model.variables, video), atol=1e-5)


def test_onnxruntime_tells_nobody_and_warns_of_no_home():
    code = "from vivit_jax.quiet import silence_libraries; silence_libraries(); import onnxruntime"
    environment = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"HOME": "/proc/none", "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
