"""The Python, the JSON and the scripts' command lines of the pages: run, compared or looked up, so that no block is only prose."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import jax
import numpy as np
import optax
import pytest
from terminal import in_blocks
from toys import CONFIG, LABELS, PREPROCESS, random_variables, random_video

import vivit_jax
from vivit_jax.data.video.reader import probe
from vivit_jax.weights import save_pretrained

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").rglob("*.md")])
PYTHON = [
    pytest.param(block, id=f"{page.stem}-{number}", marks=pytest.mark.slow if "gradients" in block else ())
    for page in PAGES
    if page.name != "README.md"  # test_readme.py runs that one, and looks at its results
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
]


@pytest.fixture
def pretrained(tmp_path):
    folder = save_pretrained(tmp_path / "models" / "fe_k400", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)
    return vivit_jax.from_pretrained(folder)


@pytest.mark.parametrize("block", PYTHON)
def test_a_block_of_python_runs(block, pretrained, tmp_path, monkeypatch):
    """What a block uses without making it is that of a small model; the files that it opens lie in the folder."""
    monkeypatch.chdir(tmp_path)
    if "onnxruntime" in block:
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
        from vivit_jax.weights.export import export

        export(pretrained, "onnx", tmp_path / "fe_k400.onnx")
    for name in ("film.mp4", "clip.mp4"):
        (tmp_path / name).write_bytes(random_video(0, frames=40))
    clip = np.random.default_rng(0).uniform(-1, 1, (2, *CONFIG.clip, 3)).astype(np.float32)
    names = {
        "vivit_jax": vivit_jax,
        "jax": jax,
        "pretrained": pretrained,
        "model": pretrained.model,
        "variables": pretrained.variables,
        "video": clip,
        "clips": 255 * (clip + 1) / 2,
        "key": jax.random.key(0),
        "loss": lambda logits: optax.losses.softmax_cross_entropy_with_integer_labels(logits, np.zeros(2, int)).mean(),
    }
    exec(block, names)
    if "logits" in names:
        assert names["logits"].shape == (2, len(LABELS))
        assert np.isfinite(names["logits"]).all()


def test_the_clip_of_the_first_steps_is_written(tmp_path, monkeypatch):
    """docs/index.md: without it a newcomer would have no file to ask the first model about."""
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r'^python -c "(.*)"$', (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    exec(line, {})
    assert probe(tmp_path / "clip.mp4").frames == 64


def scripts(page):
    """The command lines of a page that run a script of benchmarks/ or docs/, as words; in tables and sentences they stand in backticks."""
    lines = re.sub(r"\s*\\\n\s*", " ", page.read_text(encoding="utf-8"))
    found = re.findall(r"(?m)(?:^ *|`(?:PYTHONPATH=\S+ )?)python ((?:benchmarks|docs)/\w+\.py[^`\n]*)", lines)
    return [shlex.split(line, comments=True) for line in found]


def test_scripts_are_there_and_take_the_options_that_pages_give_them():
    lines = [(page, line) for page in PAGES for line in scripts(page)]
    assert len(lines) > 15
    for page, (script, *words) in lines:
        source = (ROOT / script).read_text(encoding="utf-8")
        options = {word for word in words if re.match(r"--\w", word) and not word.startswith("--config.")}
        imported = [ROOT / "benchmarks" / f"{name}.py" for name in re.findall(r"^from (\w+) import", source, re.MULTILINE)]
        source += "".join(path.read_text(encoding="utf-8") for path in imported if path.is_file())
        missing = {option for option in options if f'"{option}"' not in source and f"add_{option[2:]}(" not in source}
        assert not missing, f"{page.name}: {script} takes no {' '.join(sorted(missing))}"
        configs = [re.split("[:,]", word)[0] for word in words if word.startswith("configs/")]
        assert all((ROOT / name).is_file() for name in configs), f"{page.name}: {configs}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("access", ["open", "with a token"])
def test_the_endpoint_answers_as_its_page_says(pretrained, tmp_path, access):
    """By the page's own curl; the keys of its JSON, at every depth, are those of the answer to the query above it."""
    pytest.importorskip("starlette")
    from client import serving

    from vivit_jax.serving.access import Access
    from vivit_jax.serving.models import load_models

    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    openly, by_token = (line for line in in_blocks(page) if line.startswith("curl "))
    (told,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "clip.mp4").write_bytes(random_video(0, frames=24))
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"HOME": str(tmp_path), "TOKEN": "of the test"}
    by = {"open": (openly, Access()), "with a token": (by_token, Access(local=False, token=environment["TOKEN"]))}
    line, guarded = by[access]
    with serving(load_models([str(tmp_path / "models" / "fe_k400")]), access=guarded) as server:
        hosts = ("localhost", "example.org")  # of the page, whose port 8000 may be another's here
        (tmp_path / ".curlrc").write_text("".join(f'connect-to = "{host}:8000:127.0.0.1:{server.port}"\n' for host in hosts))
        asked = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    answer = json.loads(asked.stdout)
    if access == "open":
        assert shape(answer) == shape(json.loads(told))
    else:
        assert len(answer["results"][0]["predictions"]) == len(LABELS)


def shape(value):
    """What a JSON is made of: its keys, the lengths of its lists, and the kinds of its values."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)
