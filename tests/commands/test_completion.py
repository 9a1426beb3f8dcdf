"""The Tab key in a real bash, which asks a real `vivit` by the code that `vivit completion` prints."""

import importlib.util
import pathlib
import shlex
import subprocess
import sys

import pytest

from vivit_jax import cli, extras
from vivit_jax.commands import export

ROOT = pathlib.Path(__file__).parents[2]
needs_argcomplete = pytest.mark.skipif(importlib.util.find_spec("argcomplete") is None, reason="the extra completion is not installed")

# What bash does when Tab is pressed at the end of each line; COMPREPLY is what it would offer.
TABS = """
PATH={bin}:$PATH
eval "$(vivit completion bash)"
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:' COMP_TYPE=9
while IFS= read -r line; do
  COMP_LINE=$line COMP_POINT=${{#line}} COMPREPLY=()
  _python_argcomplete vivit
  echo "${{COMPREPLY[@]}}"
done
"""


@pytest.fixture
def tab(tmp_path):
    """Presses Tab after each line in a folder; returns what is offered for each, as sets of words."""
    program = tmp_path / "bin" / "vivit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))}:$PYTHONPATH exec {shlex.quote(sys.executable)} -m vivit_jax "$@"\n')
    program.chmod(0o755)

    def press(folder, *lines):
        code = TABS.format(bin=shlex.quote(str(program.parent)))
        done = subprocess.run(["bash", "-c", code], input="\n".join(lines) + "\n", cwd=folder, capture_output=True, text=True, check=True)
        return [set(line.split()) for line in done.stdout.splitlines()]

    return press


@needs_argcomplete
def test_tab_offers_commands_options_choices_and_files(tab, tmp_path):
    for name in ("configs/mine.py", "configs/notes.txt", "clip.mp4", "model/config.json"):
        (tmp_path / "at" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "at" / name).write_text('{"id2label": {"0": "run", "1": "roll", "2": "wave"}}')
    commands, options, config, choices, folders, labels = tab(
        tmp_path / "at",
        "vivit ",
        "vivit predict --",
        "vivit train --config=configs/",
        "vivit export --model model --to ",
        "vivit predict --model ",
        "vivit explain clip.mp4 --model model --label r",
    )
    assert commands == {*cli.COMMANDS}
    assert options >= {"--model", "--top_k", "--window", "--plot"}
    assert config == {"configs/mine.py"}
    assert choices == {*export.FORMATS}
    assert folders == {"configs/", "model/"}
    assert labels == {"run", "roll"}


@needs_argcomplete
@pytest.mark.slow
def test_tab_offers_config_keys_layouts_and_data_sets(tab, tmp_path):
    (tmp_path / "data" / "clips").mkdir(parents=True)
    keys, family, switch, layouts, sets, videos = tab(
        tmp_path,
        "vivit train --config.optimizer.l",
        "vivit bench --mode train --config.model.arch",
        "vivit train --config.model.remat tr",
        "vivit prepare med",
        "vivit evaluate --data_dir data --name ",
        "vivit predict --model x nothing_here",
    )
    assert keys == {"--config.optimizer.learning_rate", "--config.optimizer.layer_decay"}
    assert family == {"--config.model.architecture"}
    assert switch == {"true"}
    assert layouts == {"medmnist3d"}
    assert sets == {"clips"}
    assert videos == set()


@needs_argcomplete
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_printed_names_vivit(shell, vivit):
    code, out, err = vivit("completion", shell)
    assert (code, err) == (0, "")
    assert "_ARGCOMPLETE" in out
    assert out.rstrip().splitlines()[0].endswith("vivit") or "--command vivit" in out


def test_without_the_extra_one_line_says_what_to_install(vivit, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, err = vivit("completion", "zsh")
    assert (code, out) == (2, "")
    assert err == f"vivit: vivit completion needs the extra completion (argcomplete): {extras.install('completion')}\n"
