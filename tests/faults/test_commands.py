"""How the commands meet signals, streams that cannot take their output, and names that are out to command the terminal."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import pytest
from processes import hang_up

from vivit_jax import cli
from vivit_jax.process import GRACE_SECONDS
from vivit_jax.training.devices.compilation import use_cache

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = {
    "train": ["train.py", "--config=configs/motion_digits.py", "--workdir=/proc/none"],
    "vivit": ["-m", "vivit_jax", "predict", "--model", "/none", "/none.mp4"],
}


def started(arguments):
    """A process that has taken charge of its signals, as the kernel tells."""
    with hang_up(honoured=True):
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while not caught(process.pid) >> (signal.SIGTERM - 1) & 1:
        assert process.poll() is None
        time.sleep(0.002)
    return process


def caught(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="only Linux tells which signals a process catches")
@pytest.mark.fault(
    promise="A signal during start-up ends a command in one line, with 130 for Ctrl-C, 129 for SIGHUP and 143 for SIGTERM",
    provoked="SIGINT, SIGHUP and SIGTERM at 6 moments of the start of train.py and of vivit, while JAX and others are imported",
    seen="`train: interrupted`, `vivit: hung up` or the like, no traceback; exit code 130, 129 or 143",
    trials=36,
)
@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGHUP, "hung up"), (signal.SIGTERM, "terminated")])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_at_any_moment_of_the_start_is_one_line(program, number, word):
    delays = [0, 0.02, 0.06, 0.12, 0.2, 0.3]
    for delay in delays:
        process = started(PROGRAMS[program])
        time.sleep(delay)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (128 + number, "", f"{program}: {word}\n"), delay


def run_in(folder, *arguments):
    """Runs Python there, where it finds this package too."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=folder, env=os.environ | paths)


INTERRUPTED_IN_A_STRING = """
from vivit_jax import process
process.begin("vivit")
try:
    with process.interruptible():
        exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")
except KeyboardInterrupt:
    raise SystemExit(process.finish(process.ended_by(2)))
"""


def test_ctrl_c_while_source_in_a_string_is_executed_ends_with_130(tmp_path):
    """As while a library that is being imported makes its dataclasses: under `python -m`, the interpreter would end itself by SIGINT."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_IN_A_STRING)
    ended = run_in(tmp_path, "-m", "interrupted")
    assert (ended.returncode, ended.stderr) == (130, "vivit: interrupted\n")


SIGNALLED_IN_A_COLLECTION = """
import gc, os, time
from vivit_jax import process
from vivit_jax.quiet import silence_libraries
process.begin("vivit")
silence_libraries()
def signalled(phase, _):
    gc.callbacks.remove(signalled)
    os.kill(os.getpid(), NUMBER)
    time.sleep(0)
try:
    with process.interruptible():
        gc.callbacks.append(signalled)
        gc.collect()
        for _ in range(100):
            time.sleep(0.1)
except KeyboardInterrupt:
    print("cleaned up", flush=True)
    raise SystemExit(process.finish(process.ended_by(2)))
except process.Terminated:
    print("cleaned up", flush=True)
    raise SystemExit(process.finish(process.ended_by(15)))
"""


@pytest.mark.fault(
    promise="A signal ends a command whatever code is running",
    provoked="SIGINT and SIGTERM in a callback of the garbage collector, as JAX has one, which swallows exceptions",
    seen="`vivit: interrupted` or `vivit: terminated` within a second and after cleaning up, no traceback; exit code 130 or 143",
    trials=2,
)
@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_that_a_callback_swallows_is_sent_again(tmp_path, number, word):
    begun = time.monotonic()
    ended = run_in(tmp_path, "-c", SIGNALLED_IN_A_COLLECTION.replace("NUMBER", str(int(number))))
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "cleaned up\n", f"vivit: {word}\n")
    assert time.monotonic() - begun < GRACE_SECONDS


SIGNALLED_IN_AN_IMPORT = """
from vivit_jax import process
process.begin("vivit")
with process.interruptible():
    import signalled
"""


def test_a_signal_during_an_import_raises_nothing_in_it(tmp_path):
    """An exception in the middle of a native library's start crashed the process."""
    (tmp_path / "signalled.py").write_text(
        "import os, time\ntry:\n    os.kill(os.getpid(), 15)\n    time.sleep(1)\nfinally:\n    print('raised')\n"
    )
    ended = run_in(tmp_path, "-c", SIGNALLED_IN_AN_IMPORT)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "vivit: terminated\n")


@pytest.mark.fault(
    promise="A command writes its files even if the reader of its output goes away",
    provoked="the output of `vivit inspect --sheet`, which prints before it writes, is a pipe that nobody reads, as after `| head -1`",
    seen="the file, exit code 1, and nothing on standard error",
    trials=1,
)
def test_files_are_made_though_nobody_reads_the_output(original, tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = ["inspect", "--name", "mine", "--data_dir", original / "data", "--sheet", tmp_path / "sheet.png"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-m", "vivit_jax", *command], stdout=write, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


URL = "gs://bucket/made"
WRITES = {
    "convert": ["model", "--to", URL],
    "export": ["--model", "model", "--to", "stablehlo", URL],
    "probe": ["--model", "model", "--name", "toys", "--to", URL],
    "features": ["--model", "model", "clip.mp4", "--out", f"{URL}.npz"],
    "explain": ["--model", "model", "clip.mp4", "--out", f"{URL}.mp4"],
    "evaluate": ["--model", "model", "--name", "toys", "--out", f"{URL}.json"],
    "compare": ["one", "two", "--out", URL],
    "inspect": ["--name", "toys", "--sheet", f"{URL}.png"],
    "bench": ["--model", "model", "--json", f"{URL}.json"],
    "train": ["--config", str(ROOT / "configs/video_folder.py"), "--workdir", URL],
    "prepare": ["folder", ".", "--name", "toys", "--data_dir", URL],
}


@pytest.mark.fault(
    promise="A path on a remote file system makes no local folder called `gs:`",
    provoked="gs://bucket/made as the work directory, the data set's folder and each command's output",
    seen="one line that says to mount the bucket, exit code 2, before anything is read or made",
    trials=11,
)
@pytest.mark.parametrize("command", WRITES)
def test_a_url_is_refused_before_anything_is_made(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([command, *WRITES[command]]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "mount the bucket" in error
    assert not list(tmp_path.iterdir())


def test_a_url_is_no_compilation_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = jax.config.jax_compilation_cache_dir
    use_cache("gs://bucket/compiled")
    assert jax.config.jax_compilation_cache_dir == before
    assert "is a URL" in capsys.readouterr().out
