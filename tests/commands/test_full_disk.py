"""A disk that fills up under commands that write: one line that names the file, nothing half written, and what was there as it was."""

import errno
import shutil
import types

import numpy as np
import pytest
from system_limits import largest_file

from vivit_jax.inference.row_files import open_rows
from vivit_jax.inference.rows import RowsOfModel
from vivit_jax.weights.convolutional.state_dict import write_state_dict

# Each with what the system refuses first: bytes beyond these.
COMMANDS = {
    "rows": (100, "predict", "--model", "MODEL", "VIDEO", "--views", "1x1", "--top_k", "3", "--out", "OUT/a.csv"),
    "plot": (1000, "predict", "--model", "MODEL", "VIDEO", "--window", "0.4", "--plot", "OUT/old.png"),
    "again": (3000, "soup", "MODEL", "MODEL2", "--uniform", "--to", "OUT/old"),
    "program": (1000, "export", "--model", "MODEL", "--to", "stablehlo", "OUT/there"),
    "sheet": (1000, "inspect", "--name", "toys", "--data_dir", "DATA", "--sheet", "OUT/old.png"),
    "space": (1000, "serve", "--model", "MODEL", "--space", "OUT/space"),
    "card": (1000, "push", "--model", "MODEL", "me/model", "--card", "OUT/card.md"),
}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.fault(
    promise="A disk that fills up under a command destroys no file, and leaves none half written",
    provoked="a limit on the size of files under predict, soup, export, inspect, serve --space and push, over old files and new ones",
    seen="one line with the name that was given, the system's reason and what to do; exit code 1",
    trials=7,
)
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in ("again", "program") else ()) for name in COMMANDS])
def test_a_full_disk_is_one_line(name, vivit, model_dir, data_dir, videos, tmp_path):
    size, *words = COMMANDS[name]
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.png").write_text("old")
    shutil.copytree(model_dir, out / "old")
    shutil.copytree(model_dir, tmp_path / "other")
    places = {"MODEL": model_dir, "MODEL2": tmp_path / "other", "VIDEO": videos[0], "DATA": data_dir}
    before = contents(out)
    with largest_file(size):
        code, _, err = vivit(*(places.get(word, word.replace("OUT", str(out))) for word in words))
    target = words[-1].replace("OUT", str(out))
    assert (code, err) == (1, f"vivit: {target}: File too large; raise the limit of a file's size (ulimit -f)\n")
    assert contents(out) == before


@pytest.mark.parametrize("size", [0, 100, 1000])
def test_a_full_disk_under_a_parquet_file_is_an_error_of_the_system(tmp_path, size):
    """pyarrow's own has no number and names no file, and a file that could not be begun was left behind."""
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    table = RowsOfModel(types.SimpleNamespace(labels=("a", "b")))
    row = {"video": "a", "start": 0, "end": 1, "label": "a", "probability": 0.5}
    refused = pytest.raises(OSError, match="File too large; raise")
    with largest_file(size), refused as caught, open_rows(tmp_path / "a.parquet", table, {}, every=1.0) as rows:
        rows.add([row])
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "a.parquet"))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_under_torch_is_an_error_of_the_system(tmp_path):
    """torch.save itself raises RuntimeError, which would be a traceback."""
    pytest.importorskip("torch", reason="needs the extra `parity`")
    with largest_file(100), pytest.raises(OSError, match="File too large") as caught:
        write_state_dict({"a": np.zeros(1000, np.float32)}, tmp_path / "a.pth", "torchvision")
    assert caught.value.errno == errno.EFBIG
