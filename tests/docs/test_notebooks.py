"""The notebooks run from their first cell to the last, as a reader would run them."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[2] / "docs" / "notebooks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path):
    pytest.importorskip("jupytext")
    pytest.importorskip("nbconvert")
    target = tmp_path / f"{notebook.stem}.ipynb"
    command = [sys.executable, "-m", "jupytext", "--to", "ipynb", "--execute", "--output", target, notebook]
    # As on the machine of a reader: one device, and programs that are optimised, since these run for minutes.
    # What they write goes with the test.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    cells = [cell for cell in json.loads(target.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert any(output["output_type"] != "stream" for output in cells[-1]["outputs"])
