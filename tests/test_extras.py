"""What is said to install an extra: one that there is, by a command that works where it is said."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from vivit_jax.errors import UserError
from vivit_jax.extras import check_import

ROOT = pathlib.Path(__file__).parents[1]
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
SOURCES = sorted((ROOT / "vivit_jax").rglob("*.py"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.py"), ROOT / "benchmarks" / "README.md"])


def test_every_extra_that_is_named_is_one():
    said = {name for path in SOURCES for name in re.findall(r"extras\.install\(['\"](\w+)['\"]\)", path.read_text(encoding="utf-8"))}
    assert said >= {"serve", "onnx", "parquet", "beam", "wandb", "completion", "fa3"}
    written = {
        name for path in PAGES for names in re.findall(r"'\.\[([\w,-]+)\]'", path.read_text(encoding="utf-8")) for name in names.split(",")
    }
    assert said | written <= EXTRAS
    rows = re.findall(r"^\| (`[^|]*`) \|", (ROOT / "docs" / "index.md").read_text(encoding="utf-8").partition("## Extras")[2], re.MULTILINE)
    assert {name.strip("`") for row in rows for name in row.split(", ")} == EXTRAS


def test_pages_install_from_the_clone_and_messages_ask_one_place():
    """The package is on no index, so `pip install vivit_jax` from elsewhere would fetch whatever takes that name."""
    for path in [*SOURCES, *PAGES]:
        if path.name != "extras.py":
            assert not re.search(r"pip install '?vivit_jax", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("installed", "command"), [(True, "pip install 'vivit_jax[serve]'"), (False, "pip install '.[serve]' in the clone of vivit_jax")]
)
def test_the_command_is_that_of_where_the_package_lies(installed, command, tmp_path):
    (tmp_path / "vivit_jax").symlink_to(ROOT / "vivit_jax")
    if installed:
        (tmp_path / "vivit_jax-0.0.dist-info").mkdir()
        (tmp_path / "vivit_jax-0.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: vivit_jax\nVersion: 0.0\n")
    asking = [sys.executable, "-S", "-c", "from vivit_jax import extras; print(extras.install('serve'))"]
    done = subprocess.run(asking, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{command}\n", "")


def test_a_package_that_is_there_and_broken_is_not_called_missing(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    broken = {
        "unmapped": ("ImportError", "raise ImportError('failed to map\\nsegment')"),
        "half": ("ModuleNotFoundError", "import nowhere_to_be_found"),
        "unfit": ("TypeError", "raise TypeError('Descriptors cannot be created directly.\\nRegenerate')"),
    }
    for name, (error, code) in broken.items():
        (tmp_path / f"{name}.py").write_text(code)
        with pytest.raises(UserError, match=rf"{name} is installed, but cannot be imported \({error}: [^\n]+\): install it again$"):
            check_import(name, "get it")
    for name in ("nowhere_to_be_found", "nowhere_to_be_found.inner"):
        with pytest.raises(UserError, match=r"^get it$"):
            check_import(name, "get it")
