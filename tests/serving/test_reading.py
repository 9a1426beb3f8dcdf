"""The process that reads uploads: what a hostile file does to it, and that the next file finds a fresh one."""

import functools
import os
import pathlib
import signal
import time

import pytest
from toys import PREPROCESS

from vivit_jax.data.video.container import Limits
from vivit_jax.errors import UserError
from vivit_jax.serving.reading import Reader, Reading, Upload


@pytest.mark.fault(
    promise="A hostile upload costs the server one line",
    provoked="readings that hang, crash and take more memory than the limit, in the process that reads uploads",
    seen="one line that names the upload and no path; a fresh process reads the next file",
    trials=3,
)
def test_what_hangs_crashes_or_eats_memory_costs_one_process(tmp_path, video):
    (tmp_path / "secret").write_bytes(video)
    upload = Upload(tmp_path / "secret", "clip.mp4")
    reader = Reader(Limits(seconds=6.0, memory=1 << 30))
    try:
        first = reader.read(upload, os.getpid)
        assert reader.read(upload, os.getpid) == first  # kept from one file to the next
        started = time.monotonic()
        for task, reason in (
            (functools.partial(time.sleep, 1000), "took too long and was stopped"),
            (functools.partial(signal.raise_signal, signal.SIGSEGV), r"the process that read it died \(SIGSEGV\)"),
            (functools.partial(bytes, 3 << 30), "reading it takes more memory than the limit"),
        ):
            with pytest.raises(UserError, match=rf"^clip.mp4: {reason}$"):
                reader.read(upload, task)
            assert reader.reading(upload).probe().frames == 24
        assert time.monotonic() - started < 60
        last = reader.read(upload, os.getpid)
        assert last != first
    finally:
        reader.close()
    assert not pathlib.Path(f"/proc/{last}").exists()


def test_errors_do_not_tell_where_the_upload_lies(tmp_path):
    reader = Reader(Limits(seconds=20.0))
    try:
        with pytest.raises(UserError, match=r"^clip.mp4: ") as raised:
            reader.read(Upload(tmp_path / "secret", "clip.mp4"), functools.partial(pathlib.Path.read_text, tmp_path / "secret"))
        assert str(tmp_path) not in str(raised.value)
    finally:
        reader.close()


def test_many_slow_readings_are_too_much_as_well(tmp_path, video):
    (tmp_path / "secret").write_bytes(video)
    reader = Reader(Limits(seconds=20.0))
    reading = Reading(reader, Upload(tmp_path / "secret", "clip.mp4"), Limits(seconds=0.0))
    try:
        assert reading.decode(range(1), PREPROCESS, (1, 1)).shape == (1, 4, 16, 16, 3)
        with pytest.raises(UserError, match=r"^clip.mp4: takes longer than 0 s to read$"):
            reading.decode(range(1), PREPROCESS, (1, 1))
    finally:
        reader.close()
