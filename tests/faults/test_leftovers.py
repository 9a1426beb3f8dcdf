"""What a process leaves behind that is killed: nothing that stays for ever, neither files nor processes."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil
import pytest
from small_sets_of_videos import ENVIRONMENT

from vivit_jax.atomic import STALE, write_atomically
from vivit_jax.inference.tokens import _file_for
from vivit_jax.scratch import SETTLED, scratch_folder


def long_ago(path, seconds=STALE + 60):
    before = time.time() - seconds
    os.utime(path, (before, before))


@pytest.fixture
def started():
    """Starts Python code in a process of its own, and returns when it has printed its first line; kills it after the test."""
    running = []

    def start(code, **environment):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT | environment, **pipes))
        return running[-1], running[-1].stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.wait()


HOLDS = """
from vivit_jax.scratch import scratch_folder
with scratch_folder("serve") as folder:
    (folder / "upload").write_bytes(bytes(1000))
    print(folder, flush=True)
    input()
"""


@pytest.mark.fault(
    promise="Uploads and other temporary files of a killed process do not stay forever",
    provoked="SIGKILL to a process that holds such a folder, beside another that runs on",
    seen="the next process of the kind removes the folder of the dead one, and leaves that of the living alone",
    trials=1,
)
def test_the_temporary_folder_of_a_killed_process_is_cleared(started, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, dead_folder = started(HOLDS, TMPDIR=str(tmp_path))
    _, living_folder = started(HOLDS, TMPDIR=str(tmp_path))
    (tmp_path / "vivit-serve-just_now").mkdir()
    dead.kill()
    dead.wait()
    for folder in (dead_folder, living_folder):
        long_ago(folder, SETTLED + 5)
    with scratch_folder("serve") as own:
        left = {str(path) for path in tmp_path.iterdir()}
    assert left == {living_folder, str(own), str(tmp_path / "vivit-serve-just_now")}, "one that was made a moment ago may not be locked yet"
    assert not own.exists()


HANGS = """
from vivit_jax.data.workers import map_in_order
from worker_tasks import work
print("begun", flush=True)
next(map_in_order(work, ["hang"], workers=2, seconds=1000))
"""


@pytest.mark.fault(
    promise="No process that decodes outlives the command that started it, not even one that hangs",
    provoked="SIGKILL to a process whose decoder hangs",
    seen="its worker processes are gone within seconds",
    trials=1,
)
def test_workers_that_hang_end_with_a_killed_parent(started):
    parent, _ = started(HANGS)
    workers, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline and (len(workers) < 2 or any(worker.num_threads() < 2 for worker in workers)):
        workers = psutil.Process(parent.pid).children()
        time.sleep(0.05)
    assert len(workers) == 2
    os.kill(parent.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    for worker in alive:
        worker.kill()
    assert not alive


@pytest.mark.fault(
    promise="Half-written files of killed processes are removed when the same file is written again",
    provoked="the half files of two writers that were killed, a day ago and just now, beside files of the user's own",
    seen="the older one is gone; all others are as they were",
    trials=1,
)
def test_half_files_are_cleared_a_day_later(tmp_path):
    kept = [".scores.json.4711", ".scores.json.20260131", ".scores.json.old", ".other.json.12", "scores.json.12"]
    for name in (".scores.json.12", *kept):
        (tmp_path / name).write_text("{")
        long_ago(tmp_path / name)
    os.utime(tmp_path / kept[0])
    write_atomically(tmp_path / "scores.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "scores.json"])


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "scores.json").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background of a shell ignores
    try:
        with pytest.raises(KeyboardInterrupt):
            write_atomically(tmp_path / "scores.json", "new")
    finally:
        signal.signal(signal.SIGINT, before)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("scores.json", "old")]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system sets no room aside")
def test_the_file_of_tokens_has_no_name_and_all_of_its_room(tmp_path, monkeypatch):
    """A page of it that finds no room later would end the process by SIGBUS, without a word."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _file_for((5, 1, 100, 1000)) as file:
        assert 512 * os.fstat(file.fileno()).st_blocks >= 2 * 5 * 100 * 1000
        assert not list(tmp_path.iterdir())
