"""A disk that fills up under each command that writes: one line, nothing half written, and what was there before as it was."""

import contextlib
import resource
import shutil

import pytest

COMMANDS = {
    "rows": ("predict", "--model", "MODEL", "VIDEO", "--views", "1x1", "--top_k", "3", "--out", "OUT/a.csv"),
    "parquet": ("predict", "--model", "MODEL", "VIDEO", "--views", "1x1", "--out", "OUT/a.parquet"),
    "plot": ("predict", "--model", "MODEL", "VIDEO", "--window", "0.4", "--plot", "OUT/a.png"),
    "features": ("features", "--model", "MODEL", "VIDEO", "--out", "OUT/a.npz"),
    "convert": ("convert", "MODEL", "--to", "OUT/model", "--clip", "8,16,16"),
    "onnx": ("export", "--model", "MODEL", "--to", "onnx", "OUT/there"),
    "stablehlo": ("export", "--model", "MODEL", "--to", "stablehlo", "OUT/there"),
    "evaluate": ("evaluate", "--model", "MODEL", "--name", "toys", "--data_dir", "DATA", "--views", "1x1", "--out", "OUT/a.json"),
    "soup": ("soup", "MODEL", "OTHER", "--uniform", "--to", "OUT/soup"),
    "sheet": ("inspect", "--name", "toys", "--data_dir", "DATA", "--sheet", "OUT/a.png"),
    "bench": ("bench", "--mode", "predict", "--model", "MODEL", "--steps", "1", "--batch_size", "1", "--json", "OUT/a.json"),
    "card": ("push", "MODEL", "me/model", "--card", "OUT/card.md"),
}


@contextlib.contextmanager
def largest_file(size):
    """No file may grow beyond `size` bytes meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("name", COMMANDS)
def test_full(name, vivit, model_dir, data_dir, videos, workdir, tmp_path, request):
    (tmp_path / "out").mkdir()
    other = shutil.copytree(model_dir, tmp_path / "other")
    places = {"MODEL": str(model_dir), "VIDEO": videos[0], "OUT": str(tmp_path / "out"), "OTHER": str(other), "DATA": data_dir, "RUN1": str(workdir), "RUN2": str(workdir)}
    argv = []
    for word in COMMANDS[name]:
        head, slash, rest = word.partition("/")
        argv.append(places.get(head, head) + slash + rest)
    for size in (0, 100, 1000, 3000):
        before = tree(tmp_path)
        with largest_file(size):
            code, out, err = vivit(*argv)
        after = tree(tmp_path)
        new = {k: None if v is None else len(v) for k, v in after.items() if before.get(k, 1) != v}
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("\n==", name, size, code, repr(err[-300:]), "NEW", new)
        if code == 0:
            break
        for k in new:
            if k not in before:
                p = tmp_path / k
                shutil.rmtree(p) if p.is_dir() else p.unlink(missing_ok=True)
