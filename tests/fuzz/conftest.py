"""The run directory of the tests of the commands."""

import importlib.util
import pathlib

_spec = importlib.util.spec_from_file_location("commands_conftest", pathlib.Path(__file__).parents[1] / "commands" / "conftest.py")
_commands = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_commands)

model_dir, data_dir, workdir = _commands.model_dir, _commands.data_dir, _commands.workdir
