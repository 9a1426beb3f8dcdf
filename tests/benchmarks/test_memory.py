"""`benchmarks/memory.py`: memory that grows is told from memory that does not, of a process and of its workers."""

import sys

import memory
import pytest

# Each says when its work ends, and then waits, so that no sample is of a process that gives its memory back.
GROWS = (
    "import time; print('begin'); kept = []; [(kept.append(b'x' * 1_000_000), time.sleep(0.01)) for _ in range(150)]; "
    "print('end'); time.sleep(0.3)"
)
STAYS = "import time; kept = b'x' * 50_000_000; print('begin'); time.sleep(1.5); print('end'); time.sleep(0.3)"
BELOW = "import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(memory, "SECONDS_BETWEEN", 0.02)


def measured(code, folder, between=("begin", "end")):
    return memory.figures(memory.sampled([sys.executable, "-c", code], folder, between), 1000)


def test_growth_of_a_process_shows(tmp_path):
    row = measured(GROWS, tmp_path)
    assert row["parent last"] - row["parent first"] > 60
    assert row["parent per thousand"] > 60
    assert "workers most" not in row


def test_growth_of_a_worker_shows(tmp_path):
    row = measured(BELOW.format(code=GROWS), tmp_path, None)
    assert row["workers last"] - row["workers first"] > 60
    assert abs(row["parent last"] - row["parent first"]) < 10


def test_memory_that_is_held_is_no_growth(tmp_path):
    row = measured(STAYS, tmp_path)
    assert abs(row["parent last"] - row["parent first"]) < 5
    assert row["parent most"] > 50


def test_a_command_that_fails_gives_no_figures(tmp_path):
    with pytest.raises(SystemExit, match="ended with 3"):
        memory.sampled([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
