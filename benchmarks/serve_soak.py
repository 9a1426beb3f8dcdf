"""Does `vivit serve` answer everything for an hour (good clips, broken files, abandoned uploads, crowds of fifty) in flat memory?

  python benchmarks/serve_soak.py --model runs/digits/model --minutes 60 --json serve_soak.json

One upload follows another, and every two minutes fifty come at once. Good clips must get the answer that they got first, to the last digit;
broken files (those of the fault suite, and a clip with other bits flipped each time) one line with status 422, or an answer if enough of
them can be read; of a crowd each is answered or sent away with 503. Whatever else comes back, or does not come back, is listed as lost,
and the exit code is 1. Once a minute the memory, open files and temporary files of the server and of its reading process are noted.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import numpy as np
import psutil
from script import make_parser, write_json
from subprocesses import ROOT, VIVIT

from vivit_jax.data.video.reader import encode
from vivit_jax.versions import versions_of

CROWD = 50
ANSWERED, REFUSED, BUSY = 200, 422, 503
ABANDONED = "abandoned"


@dataclasses.dataclass(frozen=True)
class Upload:
    """A file to send, and the statuses that are right for it; no bytes stand for the first clip, broken anew each time."""

    kind: str
    contents: bytes
    right: tuple[int, ...]


class Client:
    """Sends uploads to a server on this machine, and keeps count; many threads may send at once."""

    def __init__(self, port: int, patience: float = 300.0) -> None:
        self.port, self.patience = port, patience
        self._counting = threading.Lock()
        self.answers = collections.defaultdict(collections.Counter)
        self.seconds = collections.defaultdict(list)
        self.lost = []
        self._first = {}

    def send(self, upload: Upload, *, crowd: bool = False) -> None:
        """Sends one file and judges what comes back."""
        kind = f"{upload.kind}, in a crowd" if crowd else upload.kind
        started = time.monotonic()
        try:
            status, body = self._post(upload.contents)
        except (OSError, http.client.HTTPException) as error:
            self._lose(kind, f"{type(error).__name__}: {error}")
            return
        with self._counting:
            self.seconds[kind].append(time.monotonic() - started)
            self.answers[kind][str(status)] += 1
        if status not in upload.right and not (crowd and status == BUSY):
            self._lose(kind, f"status {status}: {body[:200]!r}")
        elif status != ANSWERED and "\n" in json.loads(body)["error"]:
            self._lose(kind, f"more than one line: {body[:200]!r}")
        elif status == ANSWERED and upload.contents:
            self._compare(kind, upload.contents, body)

    def abandon(self, contents: bytes) -> None:
        """Sends half an upload and goes away."""
        body, kind = form(contents)
        head = f"POST /api/predict HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=self.patience) as connection:
            connection.sendall(head.encode() + body[: len(body) // 2])
        self.answers[ABANDONED]["none"] += 1

    def _post(self, contents: bytes) -> tuple[int, bytes]:
        body, kind = form(contents)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        with contextlib.closing(connection):
            connection.request("POST", "/api/predict", body, {"Host": f"localhost:{self.port}", "Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _compare(self, kind: str, contents: bytes, body: bytes) -> None:
        """The same file gets the same ranking for as long as the server lives."""
        ranking = [result["predictions"] for result in json.loads(body)["results"]]
        if self._first.setdefault(contents, ranking) != ranking:
            self._lose(kind, f"{ranking} and before {self._first[contents]}")

    def _lose(self, kind: str, reason: str) -> None:
        self.lost.append({"kind": kind, "reason": reason})


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--model", required=True, help="model directory")
    parser.add_argument("--videos", type=pathlib.Path, help="folder of good videos to send (default: drawn ones)")
    parser.add_argument("--minutes", type=float, default=60.0, help="default 60")
    parser.add_argument("--views", default="4x1", help="views of each clip (default 4x1)")
    parser.add_argument("--crowd_every", type=float, default=120.0, metavar="SECONDS", help="default 120")
    parser.add_argument("--pause", type=float, default=0.5, metavar="SECONDS", help="time from an answer to the next upload (default 0.5)")
    parser.add_argument("--patience", type=float, default=300.0, metavar="SECONDS", help="what takes longer is lost (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed that draws the order and the flipped bits (default 0)")
    parser.add_argument("--json", type=pathlib.Path, required=True, metavar="FILE", help="file for the figures, written every minute")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uploads = [*good(arguments.videos), *broken(pathlib.Path(folder))]
        with serving(arguments.model, arguments.views, folder) as (process, port):
            client = Client(port, arguments.patience)
            soak(process, client, uploads, arguments, pathlib.Path(folder))
    print(f"{count(client)} uploads, {len(client.lost)} lost; figures in {arguments.json}")
    sys.exit(1 if client.lost else 0)


def soak(process: psutil.Process, client: Client, uploads: list[Upload], arguments: argparse.Namespace, folder: pathlib.Path) -> None:
    """Sends for as long as `arguments.minutes` say, and writes the figures once a minute and at the end."""
    chance = random.Random(arguments.seed)
    started = time.monotonic()
    end, next_row, next_crowd = started + 60 * arguments.minutes, started, started + arguments.crowd_every
    memory = []

    def note() -> None:
        memory.append({"minute": round((time.monotonic() - started) / 60, 1), "uploads": count(client), **held(process, folder)})
        write(arguments, client, memory)

    while (now := time.monotonic()) < end:
        if now >= next_row:
            note()
            next_row += 60
        if now >= next_crowd:
            with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
                for upload in chance.choices(uploads, k=CROWD):
                    pool.submit(client.send, freshly_broken(upload, uploads, chance), crowd=True)
            next_crowd = time.monotonic() + arguments.crowd_every
        if chance.random() < 0.05:
            client.abandon(uploads[0].contents)
        client.send(freshly_broken(chance.choice(uploads), uploads, chance))
        time.sleep(arguments.pause)
    note()


def good(folder: pathlib.Path | None) -> list[Upload]:
    """Videos that can be read: those of a folder, or three of moving squares."""
    if folder:
        return [Upload("good", path.read_bytes(), (ANSWERED,)) for path in sorted(folder.iterdir()) if path.suffix == ".mp4"]
    videos = []
    for seed in range(3):
        frames = np.random.default_rng(seed).integers(0, 60, (40 + 20 * seed, 96, 128, 3), np.uint8)
        for number, frame in enumerate(frames):
            frame[30:60, number : number + 30] = 220
        videos.append(Upload("good", encode(frames, 25), (ANSWERED,)))
    return videos


def broken(folder: pathlib.Path) -> list[Upload]:
    """Files that are no videos, and videos of the fault suite that are damaged, cut, or silent about their pictures."""
    sys.path.insert(0, str(ROOT / "tests" / "data"))
    import films

    scene = films.scene()
    damaged = {
        "cut off": films.truncated(folder / "cut.mp4", scene),
        "damaged": films.damaged(folder / "damaged.mp4", scene),
        "lying about its size": films.lying(folder / "lying.mp4", scene),
        "changing size": films.changing_size(folder / "sizes.ts", scene, films.scene(height=96, width=128)),
        "null frames": films.with_null_frames(folder / "null.avi", scene),
    }
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    never = {"empty": b" ", "text": b"no video\n" * 1000, "noise": random.Random(0).randbytes(100_000), "playlist": playlist}
    never["only sound"] = films.only_sound(folder / "sound.mp4").read_bytes()
    return [
        *(Upload(kind, path.read_bytes(), (ANSWERED, REFUSED)) for kind, path in damaged.items()),
        *(Upload(kind, contents, (REFUSED,)) for kind, contents in never.items()),
        *[Upload("flipped bits", b"", (ANSWERED, REFUSED))] * 3,
    ]


def freshly_broken(upload: Upload, uploads: list[Upload], chance: random.Random) -> Upload:
    """The upload, or for one without contents the first clip with one to forty bits flipped."""
    if upload.contents:
        return upload
    contents = bytearray(uploads[0].contents)
    for _ in range(chance.randint(1, 40)):
        contents[chance.randrange(len(contents))] ^= 1 << chance.randrange(8)
    return dataclasses.replace(upload, contents=bytes(contents))


@contextlib.contextmanager
def serving(model: str, views: str, folder: str) -> Iterator[tuple[psutil.Process, int]]:
    """`vivit serve` with its temporary files in `folder`, and the free port that it took."""
    command = [*VIVIT, "serve", "--model", model, "--port", "0", "--views", views]
    environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            link = next((line for line in server.stdout if line.startswith("open ")), None)
            if link is None:
                sys.exit(f"the server did not start: {' '.join(command)}")
            yield psutil.Process(server.pid), int(re.search(r":(\d+)/", link)[1])
        finally:
            server.terminate()


def form(contents: bytes) -> tuple[bytes, str]:
    """A multipart form with one file, and its content type."""
    boundary = "frontier-of-the-soak"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="clip.mp4"\r\n\r\n'.encode()
    return head + contents + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def count(client: Client) -> int:
    """Uploads so far."""
    return sum(sum(statuses.values()) for statuses in client.answers.values())


def held(process: psutil.Process, folder: pathlib.Path) -> dict:
    """Megabytes, open files and threads of the server, megabytes of its children, and its temporary files."""
    children = process.children(recursive=True)
    return {
        "server_mb": round(process.memory_info().rss / 1e6, 1),
        "children_mb": round(sum(child.memory_info().rss for child in children) / 1e6, 1),
        "children": len(children),
        "open_files": process.num_fds(),
        "threads": process.num_threads(),
        "temporary_files": sum(1 for place in folder.glob("vivit-serve-*") for _ in place.iterdir()),
    }


def write(arguments: argparse.Namespace, client: Client, memory: list[dict]) -> None:
    """Writes all figures so far."""
    record = {
        "minutes": memory[-1]["minute"],
        "uploads": count(client),
        "lost": client.lost,
        "answers": {kind: dict(statuses) for kind, statuses in sorted(client.answers.items())},
        "seconds": {
            kind: {"median": round(statistics.median(seconds), 3), "most": round(max(seconds), 3)}
            for kind, seconds in sorted(client.seconds.items())
        },
        "memory": memory,
        "model": arguments.model,
        "views": arguments.views,
        "versions": versions_of("vivit_jax", "jax", "av", "starlette", "uvicorn"),
    }
    write_json(arguments.json, record)


if __name__ == "__main__":
    main()
