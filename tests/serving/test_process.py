"""`vivit serve` as a process: what it prints, how it stops, and what hours of requests leave behind."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from client import Client, uvicorn
from toys import random_video

from vivit_jax import cli
from vivit_jax.serving import app
from vivit_jax.serving.access import Access
from vivit_jax.serving.limits import ServingLimits

REQUESTS = 300


@contextlib.contextmanager
def process(*arguments, folder):
    """`vivit serve` on a free port, with its temporary files in `folder`; its client and the link it printed."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "vivit_jax", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            link = next(line for line in server.stdout if line.startswith("open "))
            yield server, Client(int(re.search(r":(\d+)/", link)[1])), link
        finally:
            server.kill()


STOPS = [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted"), (signal.SIGHUP, 129, "hung up")]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "word"), STOPS)
def test_it_stops_after_the_answer_under_way(model_dirs, tmp_path, video, number, code, word):
    with process("--model", model_dirs[0], "--views", "20x3", folder=tmp_path) as (server, client, _):
        answers = []
        asking = threading.Thread(target=lambda: answers.append(client.predict(video, "details=true")))
        asking.start()
        while client.get("/healthz").json["requests"] == 0:
            time.sleep(0.01)
        reader = psutil.Process(server.pid).children()
        server.send_signal(number)
        asking.join()
        assert answers[0].status == 200
        assert server.wait(timeout=60) == code
        assert server.stderr.read() == f"vivit: {word}\n"
        assert not any(child.is_running() for child in reader)
        assert not list(tmp_path.glob("vivit-serve-*"))


@pytest.mark.fault(
    promise="A server that is told to stop before it serves leaves nothing behind",
    provoked="SIGTERM while it compiles",
    seen="one line, exit code 143; no folder of uploads",
    trials=1,
)
def test_stopped_before_it_serves_it_leaves_nothing(model_dirs, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "vivit_jax", "serve", "--port", "0", "--model", model_dirs[0]]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "compiling ...\n"
        server.terminate()
        assert (server.wait(timeout=60), server.stderr.read()) == (143, "vivit: terminated\n")
    assert not list(tmp_path.glob("vivit-serve-*"))


@pytest.mark.slow
def test_memory_stays_where_it_is(model_dirs, tmp_path):
    videos = [random_video(seed, frames=20 + seed) for seed in range(5)] + [b"no video"]
    with process("--model", model_dirs[0], "--views", "1x1", folder=tmp_path) as (server, client, _):

        def ask(count):
            for number in range(count):
                answer = client.predict(videos[number % 6], "details=true" if number % 2 else "")
                assert answer.status == (422 if number % 6 == 5 else 200)
            return psutil.Process(server.pid).memory_info().rss / 1e6

        before = ask(60)
        after = ask(REQUESTS)
        assert after - before < 30, f"{before:.0f} MB before {REQUESTS} requests, {after:.0f} MB after them"
        files = [file for folder in tmp_path.glob("vivit-serve-*") for file in folder.iterdir()]
        assert not files


def test_a_port_in_use_is_one_line(model_dirs, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--model", model_dirs[0], "--port", str(port)]) == 2
    assert re.fullmatch(rf"vivit: cannot listen on 127\.0\.0\.1:{port} \(.*\): choose another --port or --host\n", capsys.readouterr().err)


@pytest.mark.slow
def test_what_is_not_answered_when_the_server_has_waited_long_enough_is_sent_away(models, video, tmp_path, monkeypatch, caplog):
    """One request is at work and two wait; stopping after a second of grace logs no traceback."""
    working, go_on, answers = threading.Event(), threading.Event(), []

    def answer(*arguments):
        working.set()
        go_on.wait(60)

    monkeypatch.setattr(app, "answer", answer)
    served = app.application(models, access=Access(), views=(2, 1), limits=ServingLimits(), uploads=tmp_path)
    server = uvicorn.Server(uvicorn.Config(served, port=0, log_config=None, ws="none", timeout_graceful_shutdown=1))
    threads = [threading.Thread(target=server.run)]
    threads[0].start()
    while not server.started:
        time.sleep(0.01)
    client = Client(server.servers[0].sockets[0].getsockname()[1])
    for _ in range(3):
        threads.append(threading.Thread(target=lambda: answers.append(client.predict(video))))
        threads[-1].start()
    assert working.wait(60)
    while client.get("/healthz").json["requests"] < 3:
        time.sleep(0.01)
    server.should_exit = True
    deadline = time.monotonic() + 60
    while len(answers) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert [(answer.status, answer.error) for answer in answers[:2]] == [(503, "the server stops before this was answered")] * 2
    assert not [record for record in caplog.records if record.exc_info]
