import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import Pretrained
from vivit_jax.weights.export import export

PREPROCESS = Preprocess(frames=4, stride=2, resize=9, crop=(8, 8), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


def pretrained(labels=("a", "b", "c"), **options):
    widths = {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 16, "temporal_layers": 1}
    model = create_model(**(widths | {"tubelet": (2, 4, 4), "clip": (4, 8, 8), "num_classes": 3} | options))
    params = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 4, 8, 8, 3), np.float32))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) * 0.3, params)
    return Pretrained(model, {"params": params}, PREPROCESS, labels)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"factorisation": "factorised_encoder"}, "factorisation"),
        ({"pool": "mean"}, "pool"),
        ({"tokenizer": "frames"}, "tokenizer"),
        ({"num_classes": {"verb": 1, "noun": 2}}, "one head"),
        ({"num_classes": None}, "one head"),
    ],
)
def test_what_hugging_face_cannot_express_is_refused_by_name(tmp_path, options, named):
    with pytest.raises(UserError, match=f"{named}.*export to onnx or stablehlo"):
        export(pretrained(**options), "hugging_face", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"factorisation": "factorised_encoder"},
        {"factorisation": "factorised_self_attention", "scan_layers": True},
    ],
)
def test_the_stablehlo_program_gives_the_logits_at_any_batch_size_on_every_platform(tmp_path, options):
    model = pretrained(**options)
    export(model, "stablehlo", tmp_path / "out")
    written = (tmp_path / "out" / "model.stablehlo").read_bytes()
    assert b".py" not in written, "paths of the machine that exported it"
    program = jax.export.deserialize(bytearray(written))
    assert program.platforms == ("cpu", "cuda", "tpu")
    from safetensors.numpy import load_file

    params = load_file(tmp_path / "out" / "model.safetensors")
    for batch in (1, 3):
        video = np.random.default_rng(batch).integers(0, 256, (batch, 4, 8, 8, 3), np.uint8)
        expected = model.model.apply(model.variables, PREPROCESS.normalise(video))
        np.testing.assert_allclose(program.call(params, video), expected, atol=1e-5)


@pytest.mark.parametrize("factorisation", ["spatio_temporal_attention", "factorised_dot_product_attention"])
def test_a_program_made_on_a_gpu_holds_nothing_of_it(tmp_path, monkeypatch, factorisation):
    model = pretrained(factorisation=factorisation, dtype="bfloat16", num_layers=1)
    with monkeypatch.context() as patched:
        patched.setattr(jax, "default_backend", lambda: "gpu")
        export(model, "stablehlo", tmp_path / "out")
    program = jax.export.deserialize(bytearray((tmp_path / "out" / "model.stablehlo").read_bytes()))
    assert set(re.findall(r"custom_call @(\w+)", program.mlir_module())) == {"shape_assertion"}  # of the symbolic batch


def test_the_script_runs_the_program_without_this_package(tmp_path):
    model = pretrained(factorisation="factorised_encoder")
    export(model, "stablehlo", tmp_path / "out")
    video = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    np.save(tmp_path / "clip.npy", video)
    blocked = (
        "import sys, runpy; sys.modules['vivit_jax'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked, str(tmp_path / "out" / "run.py"), str(tmp_path / "clip.npy")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    expected = np.asarray(jax.nn.softmax(model.model.apply(model.variables, PREPROCESS.normalise(video[None]))[0]))
    best = int(expected.argmax())
    assert f"{'abc'[best]} {expected[best]:.4f}" in done.stdout
    assert json.loads((tmp_path / "out" / "versions.json").read_text())["jax"] == jax.__version__
    told = subprocess.run([sys.executable, tmp_path / "out" / "run.py", "clip.mp4"], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "python run.py clip.npy" in told.stderr


@pytest.mark.slow
def test_a_program_that_jax_cannot_read_names_the_jax_that_made_it(tmp_path):
    promise = export(pretrained(factorisation="factorised_encoder"), "stablehlo", tmp_path / "out")
    assert f"jax {jax.__version__}" in promise
    assert "6 months" in promise
    (tmp_path / "out" / "model.stablehlo").write_bytes(b"of another time " * 64)
    done = subprocess.run([sys.executable, tmp_path / "out" / "run.py", "clip.npy"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"this program of jax {jax.__version__}" in done.stderr
    assert "JAX_EXPORT_DESERIALIZE_EXPIRED_VERSIONS=1" in done.stderr


def test_an_export_never_overwrites(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text(json.dumps({}))
    with pytest.raises(UserError, match="is not empty"):
        export(pretrained(factorisation="factorised_encoder"), "stablehlo", tmp_path / "out")
