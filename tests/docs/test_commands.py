"""Every command in the README and in docs/ is one that the parsers take, and every config in it can be read with its overrides."""

import pathlib
import re
import shlex

import pytest

from vivit_jax import cli
from vivit_jax.config_file import read_config
from vivit_jax.data.layouts import LAYOUTS
from vivit_jax.keys import experiment_keys
from vivit_jax.weights.convert import FORMATS

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(vivit \w.*|python train\.py .*)$")
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\d?\b")  # as in configs/sports1m_cnn.py:NETWORK


def commands(page: pathlib.Path) -> list[str]:
    """The commands in a page's code blocks, fenced or indented, each in one line without comments and redirections."""
    lines = re.sub(r"\s*\\\n\s*", " ", page.read_text(encoding="utf-8")).splitlines()
    found = [
        COMMAND.match(line.strip())
        for line in lines
        if line.startswith(("vivit ", "python train.py ", "CUDA_VISIBLE_DEVICES=", "    ", "  vivit", "  python"))
    ]
    return [match[1] for match in found if match]


KEY = re.compile(
    r"(?<![\w.])config\.((?:model|data|augment|init|optimizer|schedule|loss|training|evaluation|checkpoint|parallel)\.[a-z_.]*[a-z_])"
)
TABLES = {"weights.md": {*FORMATS} - {"auto"}, "data.md": {*LAYOUTS}}
OF_SCENIC = {"model.attention_config.type", "model.temporal_encoding_config.method"}

CASES = [pytest.param(command, id=f"{page.relative_to(ROOT)}-{i}") for page in PAGES for i, command in enumerate(commands(page))]


def test_the_commands_are_found():
    assert len(CASES) > 60
    assert {case.values[0].split()[1] for case in CASES if case.values[0].startswith("vivit")} >= {
        "prepare",
        "evaluate",
        "predict",
        "convert",
    }


def test_keys_named_in_the_text_exist():
    known = {key.name for family in ("vivit", "fusion_cnn", "resnet3d", "x3d") for key in experiment_keys("", family=family)}
    named = {key for page in PAGES for key in KEY.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert named - known == OF_SCENIC


def test_every_source_of_weights_and_every_layout_has_its_row():
    rows = {page: set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)) for page in TABLES}
    for page, names in TABLES.items():
        assert rows[page] >= names, page


@pytest.mark.parametrize("command", CASES)
def test_a_command_is_one_that_is_taken(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(re.split(r" (?:\||>|&&|<) ", command)[0], comments=True)
    name, words = (words[1], words[2:]) if words[0] == "vivit" else ("train", words[2:])
    _, arguments = cli.parse(name, words)
    config = getattr(arguments, "config", None)
    if isinstance(config, str) and not PLACEHOLDER.search(config):
        overrides = {key: value for key, value in arguments.overrides.items() if not PLACEHOLDER.search(value)}
        read_config(config, overrides | {"model.num_classes": "3"} if "model.num_classes" not in overrides else overrides)
