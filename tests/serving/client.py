"""A server in a thread of this process, on a real socket, and a client of the standard library."""

import contextlib
import http.client
import json
import pathlib
import tempfile
import threading
import time

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `serve`: pip install -e '.[serve]'")
pytest.importorskip("starlette", reason="needs the extra `serve`: pip install -e '.[serve]'")
pytest.importorskip("python_multipart", reason="needs the extra `serve`: pip install -e '.[serve]'")


@contextlib.contextmanager
def serving(models, *, access=None, limits=None):
    """A client of a server of these models."""
    from vivit_jax.serving.access import Access
    from vivit_jax.serving.app import application
    from vivit_jax.serving.limits import ServingLimits

    uploads = pathlib.Path(tempfile.mkdtemp(prefix="uploads-"))
    app = application(models, access=access or Access(), views=(2, 1), limits=limits or ServingLimits(), uploads=uploads)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        uploads.rmdir()  # nothing is left in it


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The message, after checking that the answer holds nothing else and that it is one line."""
        assert set(self.json) == {"error"}
        assert "\n" not in self.json["error"]
        return self.json["error"]


class Client:
    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, headers=None, host="localhost"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Host": f"{host}:{self.port}", **(headers or {})})
            return Answer(connection.getresponse())

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def predict(self, video, query="", name="clip.mp4", headers=None, **options):
        body, kind = form(("file", name, video))
        return self.ask("POST", f"/api/predict?{query}", body, {"Content-Type": kind, **(headers or {})}, **options)


def form(*parts):
    """A multipart form of (field, filename, contents), and its content type."""
    lines = b""
    for field, name, contents in parts:
        disposition = f'form-data; name="{field}"' + (f'; filename="{name}"' if name is not None else "")
        lines += b"--frontier\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + contents + b"\r\n"
    return lines + b"--frontier--\r\n", "multipart/form-data; boundary=frontier"
