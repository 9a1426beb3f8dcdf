"""`vivit serve --space`: the folder holds all that a Docker Space needs, and serves."""

import importlib.metadata
import json
import pathlib
import re
import shutil

import pytest

pytest.importorskip("starlette", reason="needs the extra `serve`: pip install -e '.[serve]'")

import vivit_jax
from vivit_jax import cli
from vivit_jax.serving.models import names_of

PACKAGE = pathlib.Path(vivit_jax.__file__).parent


def test_a_space_is_complete(model_dirs, tmp_path, capsys):
    space = tmp_path / "space"
    models = ["--model", model_dirs[0], "--model", "hf://google/vivit-b-16x2-kinetics400"]
    assert cli.main(["serve", *models, "--views", "2x1", "--space", str(space)]) == 0
    written = {str(path.relative_to(space)) for path in space.rglob("*") if path.is_file()}
    sources = {f"vivit_jax/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    own = {"README.md", "Dockerfile", "requirements.txt", ".gitattributes"}
    assert written == own | sources | {f"models/token/{name}" for name in ("config.json", "preprocess.json", "model.safetensors")}

    front = dict(line.split(": ", 1) for line in (space / "README.md").read_text().split("---\n")[1].splitlines())
    assert (front["sdk"], front["app_port"]) == ("docker", "7860")
    command = json.loads(re.search(r"^CMD (\[.*\])$", (space / "Dockerfile").read_text(), re.M)[1])
    _, parsed = cli.parse(command[3], command[4:])  # after python -m vivit_jax
    assert command[:3] == ["python", "-m", "vivit_jax"]
    assert parsed.model == ["models/token", "hf://google/vivit-b-16x2-kinetics400"]
    assert (parsed.host, parsed.port, parsed.public, parsed.views) == ("0.0.0.0", 7860, True, (2, 1))

    pins = dict(line.split("==") for line in (space / "requirements.txt").read_text().splitlines())
    for name in ("jax", "flax", "av", "numpy", "starlette", "uvicorn", "python-multipart", "anyio", "h11"):
        assert pins[name] == importlib.metadata.version(name).partition("+")[0]
    assert "vivit-jax" not in pins

    assert cli.main(["serve", *models, "--space", str(space)]) == 2
    assert "holds something already" in capsys.readouterr().err
    assert cli.main(["serve", *models, "--space", str(tmp_path / "other"), "--token", "own"]) == 2
    assert "--token has no effect with --space" in capsys.readouterr().err
    assert cli.main(["serve", *models, "--space", str(tmp_path / "other"), "--views", "10x10"]) == 2
    assert "views must be at most" in capsys.readouterr().err


def test_a_name_with_quotes_is_one_word_of_the_command(model_dirs, tmp_path):
    shutil.copytree(model_dirs[0], tmp_path / 'the "best"')
    assert cli.main(["serve", "--model", str(tmp_path / 'the "best"'), "--space", str(tmp_path / "space")]) == 0
    command = re.search(r"^CMD (.*)$", (tmp_path / "space" / "Dockerfile").read_text(), re.M)[1]
    assert 'models/the_"best"' in json.loads(command)


def test_what_is_no_model_makes_no_space(tmp_path, capsys):
    assert cli.main(["serve", "--model", str(tmp_path / "nothing"), "--space", str(tmp_path / "space")]) == 2
    assert "is not a model directory" in capsys.readouterr().err
    assert not (tmp_path / "space").exists()


def test_models_are_named_by_what_tells_them_apart(tmp_path):
    assert names_of(["runs/vivit/model", "runs/cnn/model/"]) == ["vivit", "cnn"]
    assert names_of(["a/same", "b/same", "hf://org/name"]) == ["same (1)", "same (2)", "name"]


@pytest.mark.fault(
    promise="A Space is not made of a damaged model, which would fail only on the hub",
    provoked="one bit flipped in the weights of a model that `vivit serve --space` copies",
    seen="one line that names the file; exit code 2; no folder is made",
    trials=1,
)
def test_a_damaged_model_makes_no_space(model_dirs, tmp_path, capsys):
    shutil.copytree(model_dirs[0], tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert cli.main(["serve", "--model", str(tmp_path / "model"), "--space", str(tmp_path / "space")]) == 2
    assert "does not have the SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "space").exists()
