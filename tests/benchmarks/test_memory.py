"""`benchmarks/memory.py`: memory that grows is told from memory that does not, of a process and of its workers."""

import pathlib
import sys

import pytest

GROWS = "import time; print('begin', flush=True); kept = []; [(kept.append(b'x' * 1_000_000), time.sleep(0.01)) for _ in range(150)]"
STAYS = "import time; print('begin', flush=True); kept = b'x' * 50_000_000; time.sleep(1.5)"
BELOW = "import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "benchmarks")
    monkeypatch.delitem(sys.modules, "memory", raising=False)
    import memory

    monkeypatch.setattr(memory, "SECONDS_BETWEEN", 0.02)
    return memory


def measured(memory, code: str, folder: pathlib.Path, between=("begin", "end")) -> dict:
    return memory.figures(memory.sampled([sys.executable, "-c", code], folder, between), 1000)


def test_growth_of_a_process_shows(memory, tmp_path):
    row = measured(memory, GROWS, tmp_path)
    assert row["parent last"] - row["parent first"] > 60
    assert row["parent per thousand"] > 60
    assert "workers most" not in row


def test_growth_of_a_worker_shows(memory, tmp_path):
    row = measured(memory, BELOW.format(code=GROWS), tmp_path, None)
    assert row["workers last"] - row["workers first"] > 60
    assert abs(row["parent last"] - row["parent first"]) < 10


def test_memory_that_is_held_is_no_growth(memory, tmp_path):
    row = measured(memory, STAYS, tmp_path)
    assert abs(row["parent last"] - row["parent first"]) < 5
    assert row["parent most"] > 50


def test_a_command_that_fails_gives_no_figures(memory, tmp_path):
    with pytest.raises(SystemExit, match="ended with 3"):
        memory.sampled([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
