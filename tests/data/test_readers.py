import os
import signal
import subprocess
import sys
import textwrap

import films
import psutil
import pytest

from vivit_jax.data import readers
from vivit_jax.data.config import DataConfig
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.readers import LARGE_SPLIT, Readers, choose_readers, given_readers

CLIP_BYTES = 3 * 32 * 224 * 224


@pytest.fixture
def machine(monkeypatch):
    def make(cpus, shared_memory=10**12, accelerators=1):
        monkeypatch.setattr(readers, "available_cpus", lambda: cpus)
        monkeypatch.setattr(readers, "_accelerators", lambda: accelerators)
        monkeypatch.setattr(readers, "_free_shared_memory", lambda: shared_memory)

    return make


@pytest.mark.parametrize(
    ("cpus", "shared_memory", "accelerators", "expected"),
    [
        (1, 10**12, 1, Readers(1, 0)),
        (2, 10**12, 1, Readers(2, 0)),
        (4, 10**12, 1, Readers(4, 0)),
        (5, 10**12, 1, Readers(1, 5, 2)),
        (16, 10**12, 1, Readers(1, 16, 2)),
        (100, 10**12, 1, Readers(1, 16, 2)),
        (100, 10**12, 4, Readers(1, 64, 2)),
        (100, 10**12, 0, Readers(4, 0)),
        (16, 4 * 2 * CLIP_BYTES * 9, 1, Readers(1, 9, 2)),
        (16, 64 * 2**20, 1, Readers(4, 0)),
    ],
)
def test_the_machine_decides_who_reads(machine, cpus, shared_memory, accelerators, expected):
    machine(cpus, shared_memory, accelerators)
    decided = choose_readers(DataConfig(), 32, CLIP_BYTES)
    assert (decided.threads, decided.processes) == (expected.threads, expected.processes)
    if decided.processes:
        assert decided.piece == expected.piece


def test_what_is_given_is_taken(machine):
    machine(16)
    assert choose_readers(DataConfig(readers=7), 32, CLIP_BYTES) == Readers(7, 0, 2)
    assert choose_readers(DataConfig(processes=3), 32, CLIP_BYTES) == Readers(1, 3, 2)
    assert choose_readers(DataConfig(readers=2, processes=3), 32, CLIP_BYTES) == Readers(2, 3, 2)
    assert choose_readers(DataConfig(processes=0), 32, CLIP_BYTES) == Readers(4, 0, 2)
    assert given_readers(DataConfig()) == Readers(4)
    assert given_readers(DataConfig(processes=3)) == Readers(1, 3)


def test_a_large_split_is_evaluated_by_processes_as_training_reads(machine):
    machine(16)
    assert choose_readers(DataConfig(), 32, CLIP_BYTES, clips=LARGE_SPLIT) == Readers(1, 16, 2)
    assert choose_readers(DataConfig(), 32, 12 * CLIP_BYTES, clips=LARGE_SPLIT) == Readers(1, 16, 1)
    assert choose_readers(DataConfig(cache_gigabytes=1.0), 32, CLIP_BYTES, clips=LARGE_SPLIT) == Readers(1, 16, 2)
    assert choose_readers(DataConfig(), 32, CLIP_BYTES, clips=LARGE_SPLIT - 1).processes == 0
    assert choose_readers(DataConfig(readers=7), 32, CLIP_BYTES, clips=LARGE_SPLIT) == Readers(7, 0, 2)
    assert choose_readers(DataConfig(processes=3), 32, CLIP_BYTES, clips=1) == Readers(1, 3, 2)
    machine(16, accelerators=0)
    assert choose_readers(DataConfig(), 32, CLIP_BYTES, clips=LARGE_SPLIT) == Readers(4)


@pytest.mark.parametrize(("batch_size", "clip_bytes", "piece"), [(32, 10**3, 32), (32, CLIP_BYTES, 2), (6, CLIP_BYTES, 3), (7, 10**9, 1)])
def test_a_piece_divides_the_batch(batch_size, clip_bytes, piece):
    assert choose_readers(DataConfig(processes=2), batch_size, clip_bytes).piece == piece


@pytest.mark.parametrize(
    ("dies", "reads"),
    [
        pytest.param("parent", "training", marks=pytest.mark.slow),
        ("worker", "training"),
        pytest.param("worker", "evaluation", marks=pytest.mark.slow),
    ],
)
def test_no_process_outlives_another(tmp_path, dies, reads):
    """A killed program leaves no worker behind, and one whose worker is killed says so."""
    folder = tmp_path / "videos" / "train" / "a"
    folder.mkdir(parents=True)
    for number in range(40 if reads == "evaluation" else 1):
        films.write(folder / f"{number}.mp4", films.scene(14, 32, 40))
    prepare("folder", tmp_path / "videos", name="one", data_dir=tmp_path)
    code = f"""
        import time
        from vivit_jax.data.config import AugmentConfig, DataConfig
        from vivit_jax.data.dataset import open_dataset
        from vivit_jax.data.pipeline import evaluation_batches, training_batches
        from vivit_jax.preprocess import Preprocess

        if __name__ == "__main__":
            read = open_dataset("one", {str(tmp_path)!r}).source("train"), Preprocess(4, 2, 32, (24, 24)), DataConfig(processes=2)
            if {reads!r} == "training":
                batches = training_batches(*read, AugmentConfig(), batch_size=4, seed=3)
            else:
                batches = evaluation_batches(*read, batch_size=1)
            for number, _ in enumerate(batches):
                print(number, flush=True)
                time.sleep(0.2)  # an evaluation ends
    """
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(code))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        for _ in range(2):
            run.stdout.readline()
        children = psutil.Process(run.pid).children()
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        assert len(workers) == 2
        os.kill(run.pid if dies == "parent" else workers[0].pid, signal.SIGKILL)
        _, said = run.communicate(timeout=30)
        if dies == "worker":
            assert "UserError: one of the 2 processes that read clips died" in said
        assert not psutil.wait_procs(children, timeout=10)[1]
