"""What a person writes into a config file and on the command line: misspelt keys, values of every type, and the command told again."""

import os
import sys
from pathlib import Path

import pytest
import tiny

from vivit_jax import cli
from vivit_jax.commands.config_arguments import experiment_of
from vivit_jax.commands.train import as_typed
from vivit_jax.errors import UserError

MISSPELT = {
    "config.optimizer.learning_rat = 1": "key in config.optimizer 'learning_rat': did you mean 'learning_rate'?",
    "config.optimizer.update(learning_rat=1)": "key in config.optimizer 'learning_rat': did you mean 'learning_rate'?",
    "config.optimiser.learning_rate = 1": "key in config 'optimiser': did you mean 'optimizer'?",
    "config['trainning']": "key in config 'trainning': did you mean 'training'?",
    "config.seed = config.training.batch_sise": "key in config.training 'batch_sise': did you mean 'batch_size'?",
    "config.model.epochs = 8": "key in config.model 'epochs': did you mean config.training.epochs?",
    "config.rank = 8": "key in config 'rank': did you mean config.training.lora.rank?",
}


@pytest.mark.fault(
    promise="A misspelt key in a config file is named with its line and the nearest right one, by every command",
    provoked="config files that set, update and read keys that no experiment has",
    seen="one line with file, line and the key that was meant; exit code 2",
    trials=14,
)
@pytest.mark.parametrize("line", MISSPELT)
@pytest.mark.parametrize("command", ["train", "inspect"])
def test_a_misspelt_key_in_a_config_file(tmp_path, capsys, line, command):
    path = tmp_path / "misspelt.py"
    path.write_text(
        f"from vivit_jax.config import base_config\n\ndef get_config():\n    config = base_config()\n    {line}\n    return config\n"
    )
    code = cli.train([f"--config={path}", f"--workdir={tmp_path / 'run'}"]) if command == "train" else cli.main(["inspect", str(path)])
    error = capsys.readouterr().err
    assert code == 2
    assert f"{path} line 5: unknown key" in error
    assert MISSPELT[line] in error
    assert len(error.splitlines()) == 1


def test_the_line_is_told_of_a_file_named_from_here(tmp_path, monkeypatch, capsys):
    """As people name them; Python calls the file by its whole path."""
    monkeypatch.chdir(tmp_path)
    lines = ("from vivit_jax.config import base_config", "def get_config():", "    config = base_config()", "    config.data.strde = 4")
    (tmp_path / "mine.py").write_text("\n".join(lines))
    assert cli.main(["inspect", "mine.py"]) == 2
    assert "mine.py line 4: unknown key in config.data 'strde': did you mean 'stride'?" in capsys.readouterr().err


def test_overrides_take_what_the_type_of_a_key_allows(tmp_path):
    config = Path(tiny.__file__).with_name("tiny_config.py")

    def parsed(*flags):
        return experiment_of(cli.parse("train", [f"--config={config}", "--workdir", "x", *flags])[1])

    assert parsed("--config.training.compilation_cache=~/here").training.compilation_cache == str(Path.home() / "here")  # None in the file
    assert parsed("--config.name=2024", "--config.model.clip=4,16,16").name == "2024"
    assert parsed("--config.training.wandb=None", "--config.optimizer.learning_rate", "3").optimizer.learning_rate == 3.0
    assert parsed("--config.optimizer.nesterov").optimizer.nesterov
    assert not parsed("--config.training.tensorboard=true", "--noconfig.training.tensorboard").training.tensorboard
    for flag in ("--config.training.batch_size=1.5", "--config.optimizer.nesterov=3", "--config.model=5", "--processes=two"):
        with pytest.raises(UserError, match=flag.partition("=")[0]):
            parsed(flag)


@pytest.mark.parametrize("restart", [["--restart"], ["--restart=True"], ["-restart", "true"]])
@pytest.mark.parametrize(("argv", "said"), [(["train"], "vivit train --config"), ([], "train.py --config")])
def test_the_command_is_told_as_it_was_typed(tmp_path, monkeypatch, argv, said, restart):
    script = tmp_path / ("vivit" if argv else "train.py")
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    if argv:
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    flags = [*restart, "--config=a.py", "--workdir=b"]
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, str(script), *argv, *flags])
    assert as_typed(flags).endswith(f"{said}=a.py --workdir=b")
    assert as_typed(flags).startswith("vivit" if argv else Path(sys.executable).name)
