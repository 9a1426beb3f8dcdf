"""The journal of a preparation: the videos finished so far, in one file, from which a preparation that was killed goes on.

The file begins with a line that says how the videos were made; a file that says otherwise begins anew. Then come the finished jobs, each a
line of JSON and the bytes of its videos. A job is known by the files that it read (path, size, time of change) and by what it took of them.
A kill can cut off the last job only, and what a lost disk page has damaged is found by its SHA-256: either is made again.
"""

import functools
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Self

import av
import cv2
import numpy as np
import PIL

from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.layouts.image_sequences import segment, segment_files
from vivit_jax.data.preparation.transcode import Facts, Transcoded
from vivit_jax.data.workers import Failure

FORMAT = 1
CODE = pathlib.Path(__file__).parents[1]


class Journal:
    """Finished jobs: lists of clips of one video with the videos made of them.

    Attributes:
      reused: how many clips were taken from it.
    """

    def __init__(self, path: pathlib.Path, short_side: int) -> None:
        """Opens a journal, or begins one.

        Args:
          path: its file.
          short_side: pixels; videos of another are not those asked for.

        Raises:
          OSError: where the system refuses.
        """
        self.reused = 0
        self._jobs: dict[bytes, int] = {}  # where a job's line begins, by its key
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._scan(json.dumps(_settings(short_side)).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, job: Sequence[Clip]) -> bool:
        """Whether a job was finished; `get` tells whether its videos are still whole."""
        return bool(self._jobs) and key_of(job) in self._jobs

    def get(self, job: Sequence[Clip]) -> list[Transcoded] | None:
        """The videos of a job's clips; None if it is not finished, or no longer whole."""
        start = self._jobs.get(key_of(job) or b"")
        if start is None:
            return None
        self._file.seek(start)
        entry = json.loads(self._file.readline())
        payload = self._file.read(sum(facts["bytes"] for facts in entry["videos"]))
        if _digest(entry["videos"], payload) != entry.get("sha256"):
            return None
        self.reused += len(job)
        return _unpacked([Facts.from_json(facts) for facts in entry["videos"]], payload)

    def add(self, job: Sequence[Clip], made: Sequence[Transcoded | Failure]) -> None:
        """Keeps the videos of a job, if it is one that can be known again and none of its clips was refused: those are tried again."""
        key = key_of(job)
        if key is None or any(isinstance(video, Failure) for video in made):
            return
        videos, payload = [video.facts.to_json() for video in made], b"".join(video.video for video in made)
        entry = {"key": key.hex(), "sha256": _digest(videos, payload), "videos": videos}
        self._jobs[key] = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(entry).encode() + b"\n" + payload)
        self._file.flush()  # past a kill; what a crash of the machine loses is made again

    def _scan(self, first: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        whole = 0
        if self._file.readline() == first:
            whole = len(first)
            while (line := self._file.readline()) and (entry := _parsed(line)):
                after = whole + len(line) + sum(facts["bytes"] for facts in entry["videos"])
                if after > end:
                    break
                self._jobs[bytes.fromhex(entry["key"])] = whole
                whole = self._file.seek(after)
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self._file.write(first)
            self._file.flush()


def _settings(short_side: int) -> dict:
    """Everything but its source that the bytes of a video depend on."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(CODE.rglob("*.py")))).hexdigest()
    ffmpeg = {name: list(version) for name, version in sorted(av.library_versions.items())}
    libraries = {module.__name__: module.__version__ for module in (av, cv2, np, PIL)}
    return {"format": FORMAT, "short_side": short_side, "code": code} | libraries | ffmpeg


def key_of(job: Sequence[Clip]) -> bytes | None:
    """The SHA-256 of a job's clips and of the files that they read, as these are now. None for a job that cannot be known again."""
    try:
        identities = [_identity((clip.source, clip.start, clip.end, clip.lossless, clip.by_frames)) for clip in job]
    except (OSError, TypeError):  # a file that is gone, or a source that says nothing about itself
        return None
    return hashlib.sha256(json.dumps(identities).encode()).digest()


def _identity(value: object) -> object:
    """A value as JSON in which a file stands for what it holds now.

    Raises:
      TypeError: for a value that cannot be told from others.
      OSError: for a file that is gone.
    """
    if isinstance(value, pathlib.Path):
        status = value.stat()
        return ["file", str(value.absolute()), status.st_size, status.st_mtime_ns]
    if isinstance(value, tuple):
        return [_identity(part) for part in value]
    if isinstance(value, functools.partial):
        if value.keywords:
            raise TypeError(value)
        files = segment_files(*value.args) if value.func is segment else ()
        return ["call", value.func.__module__, value.func.__qualname__, _identity(value.args), *map(_identity, files)]
    if isinstance(value, (str, int, float, Fraction)) or value is None:
        return repr(value)
    raise TypeError(value)


def _unpacked(videos: Sequence[Facts], payload: bytes) -> list[Transcoded]:
    ends = itertools.accumulate(facts.bytes for facts in videos)
    return [Transcoded(payload[end - facts.bytes : end], facts) for facts, end in zip(videos, ends, strict=True)]


def _digest(videos: Sequence[dict], payload: bytes) -> str:
    return hashlib.sha256(json.dumps(videos).encode() + payload).hexdigest()


def _parsed(line: bytes) -> dict | None:
    """A job's line; None for one that was cut off or damaged."""
    try:
        entry = json.loads(line)
        bytes.fromhex(entry["key"])
        sizes = [facts["bytes"] for facts in entry["videos"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if all(isinstance(size, int) and size >= 0 for size in sizes) else None
