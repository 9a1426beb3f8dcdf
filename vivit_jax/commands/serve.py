"""Serves a page that shows what models see in the videos you drop on it, and answers programs in JSON. It needs the extra `serve`.

Example:
  vivit serve --model runs/digits/model
  vivit serve --model runs/vivit/model --model runs/cnn/model --port 8080
  vivit serve --model runs/digits/model --space my_space

It listens on this machine alone. With --host 0.0.0.0 others can connect as well, and need the token in the link that is printed.
--space writes a folder to push to Hugging Face as a Space, and serves nothing.
"""

import argparse
import importlib.util

from vivit_jax import console, extras
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_views, is_given, output, positive, refuse_unused, whole
from vivit_jax.errors import UserError

MAY_BE_EMPTY = ("token",)
HANDLES_SIGNALS = True  # uvicorn stops gracefully
LIBRARIES = ("starlette", "uvicorn", "python_multipart")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit serve`."""
    parser.add_argument(
        "--model", metavar="DIR", action="append", required=True, help="model directory, such as a run's model/; two are shown side by side"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1, this machine alone; 0.0.0.0 is everywhere)"
    )
    parser.add_argument("--port", type=whole, default=8000, metavar="N", help="port to listen on; 0 takes a free one (default: 8000)")
    parser.add_argument(
        "--token", help="token that requests must carry (default: none if only this machine can connect, else one that is made up)"
    )
    parser.add_argument("--public", action="store_true", help="let anybody ask without a token, as in a public Space")
    add_views(parser)
    parser.add_argument("--max_upload", type=positive, default=200, metavar="MB", help="largest upload, in MB (default: 200)")
    parser.add_argument("--max_waiting", type=positive, default=8, metavar="N", help="most requests that wait for the models (default: 8)")
    parser.add_argument("--space", type=output, metavar="DIR", help="write a Hugging Face Space of these models, and serve nothing")


def run(arguments: argparse.Namespace) -> None:
    """Serves until it is stopped, or writes a Space.

    Raises:
      UserError: if the extra is not installed, for a model that cannot be read, or an address that cannot be listened on.
    """
    if arguments.space:
        refuse_unused(arguments, ("host", "port", "token", "public"), "with --space, which serves nothing here")
        from vivit_jax.serving.space import write_space

        options = {name: getattr(arguments, name) for name in ("max_upload", "max_waiting") if is_given(arguments, name)}
        written = write_space(arguments.space, arguments.model, views=arguments.views, options=options)
        console.say(f"{len(written)} files written to {arguments.space}; push them to a Space of kind Docker")
        return
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"vivit serve needs the extra serve ({', '.join(missing)}): {extras.install('serve')}")
    from vivit_jax.serving.limits import MEGABYTE, ServingLimits
    from vivit_jax.serving.server import serve

    tell_of_unused_gpu()
    serve(
        arguments.model,
        host=arguments.host,
        port=arguments.port,
        token=arguments.token,
        public=arguments.public,
        views=arguments.views,
        limits=ServingLimits(upload_bytes=arguments.max_upload * MEGABYTE, waiting=arguments.max_waiting),
    )
