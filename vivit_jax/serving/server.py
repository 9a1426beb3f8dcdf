"""The server's life: from its models to its last answer."""

import contextlib
import re
import secrets
import signal
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import uvicorn

from vivit_jax import console, process
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Views
from vivit_jax.scratch import scratch_folder
from vivit_jax.serving.access import LOCAL_NAMES, Access
from vivit_jax.serving.answers import warm_up
from vivit_jax.serving.app import application
from vivit_jax.serving.examples import EXAMPLES, example
from vivit_jax.serving.limits import ServingLimits
from vivit_jax.serving.models import load_models

GRACE_SECONDS = 30  # for answers under way when the server is told to stop
EVERYWHERE = ("0.0.0.0", "::", "")


def serve(sources: list[str], *, host: str, port: int, token: str | None, public: bool, views: Views, limits: ServingLimits) -> None:
    """Serves models until a signal comes; then answers what is under way, and removes what it has stored.

    Args:
      sources: where the models are, as for `from_pretrained`.
      host: where to listen.
      port: 0 takes a free one.
      token: what requests must carry; None makes one up if others than this machine can connect.
      public: whether nobody needs a token.
      views: the views of each video, where a request does not say.
      limits: what a request may cost.

    Raises:
      UserError: for a model that cannot be read, or an address that cannot be listened on.
      OSError: if there is no place for uploads.
      KeyboardInterrupt: after SIGINT.
      Terminated: after SIGTERM, and SIGHUP, as when the terminal is closed.
    """
    limits.check_views(views)
    access = access_for(host, token, public)
    with _listening(host, port) as listener:
        models = load_models(sources)
        console.say("compiling ...")
        warm_up(models, views)
        for name in EXAMPLES:
            example(name)
        with _signals_as_exceptions(), scratch_folder("serve") as uploads:
            app = application(models, access=access, views=views, limits=limits, uploads=uploads)
            config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=GRACE_SECONDS, ws="none")
            for model in models:
                console.say(f"{model.name}: {model.pretrained!r}")
            console.say(f"open {link(host, listener.getsockname()[1], access.token)}", style="bold")
            _Server(config).run([listener])


def access_for(host: str, token: str | None, public: bool) -> Access:
    """Who may ask a server that listens on `host`: with a token, unless it listens on this machine alone or is meant for everybody.

    Raises:
      UserError: for a public server with a token, an empty token where one is needed, or one that a link or a header cannot carry.
    """
    if public and token:
        raise UserError("--public is for servers without a token: leave out --token, or --public")
    local = host in LOCAL_NAMES
    if public:
        return Access(local=False, public=True)
    if token == "" and not local:
        raise UserError("--token must not be empty where others can connect: leave it out to have one made up, or say --public")
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UserError("--token must be of ASCII letters, digits and signs, without blanks: a link and a header carry it")
    if token is None and not local:
        token = secrets.token_urlsafe(24)
    return Access(local=local, token=token or "")


def link(host: str, port: int, token: str) -> str:
    """What to open in a browser."""
    name = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={urllib.parse.quote(token, safe='')}" if token else "")


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens before the models are loaded, so that a port in use is known at once."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on {host}:{port} ({error}): choose another --port or --host") from None
    with listener:
        yield listener


class _Server(uvicorn.Server):
    """Stops gracefully when its terminal is closed too, as uvicorn's does after SIGINT and SIGTERM."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals(), _handled((signal.SIGHUP,), self.handle_exit):
            yield


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """After its graceful stop uvicorn raises the signal again: here as an exception, so that everything is cleaned up on the way out."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else process.Terminated(signal.Signals(number))

    with _handled((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), end):
        yield


@contextlib.contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = process.handle(numbers, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
