"""The server as an ASGI application: the page, the endpoint, and what holds them together."""

import asyncio
import contextlib
import functools
import pathlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from vivit_jax.errors import UserError, in_one_line
from vivit_jax.preprocess import Views
from vivit_jax.serving.access import Access, Guarded
from vivit_jax.serving.answers import answer
from vivit_jax.serving.examples import EXAMPLES, example
from vivit_jax.serving.jobs import JobQueue, QueueFullError
from vivit_jax.serving.limits import ServingLimits
from vivit_jax.serving.models import ServedModel, models_for
from vivit_jax.serving.openapi import document
from vivit_jax.serving.questions import Question, question_of
from vivit_jax.serving.reading import Reader
from vivit_jax.serving.uploads import STOPPED_COMING, UploadError, drain, received

STATIC = pathlib.Path(__file__).parent / "static"
CLIENT_GONE = 499  # nobody reads this answer


def application(models: list[ServedModel], *, access: Access, views: Views, limits: ServingLimits, uploads: pathlib.Path) -> Guarded:
    """The application.

    Args:
      models: what to serve, in the order in which they answer.
      access: who may ask.
      views: the views of each video, where a request does not say.
      limits: what a request may cost.
      uploads: a folder for videos, each until it is answered.
    """
    server = _Server(models, views, limits, uploads, document(limits, views, token=bool(access.token)))
    routes = [
        Route("/", _page),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/api/predict", server.predict, methods=["POST"]),
        Route("/api/models", server.models),
        Route("/api/openapi.json", server.openapi),
        Route("/examples", _examples),
        Route("/examples/{name}.mp4", _example),
        Route("/healthz", server.health),
    ]
    handlers = {HTTPException: _http_error, Exception: _unexpected}
    return Guarded(Starlette(routes=routes, exception_handlers=handlers, lifespan=server.lifespan), access)


class _Server:
    """What the requests share: the models, the queue before them, the process that reads, and a folder for uploads."""

    def __init__(self, models: list[ServedModel], views: Views, limits: ServingLimits, uploads: pathlib.Path, openapi: dict) -> None:
        self._models, self._views, self._limits, self._folder, self._openapi = models, views, limits, uploads, openapi
        self._reader = Reader(limits.video)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """From the first request to the last."""
        self._queue = JobQueue(self._limits.waiting)
        await run_in_threadpool(self._reader.start)
        try:
            yield
        finally:
            self._queue.close()
            self._reader.close()

    async def predict(self, request: Request) -> Response:
        """`POST /api/predict`."""
        try:
            question = question_of(request.query_params, self._views, self._limits)
            models_for(self._models, question)
            with self._queue.place():
                return await self._answer(request, question)
        except QueueFullError as full:
            await drain(request, self._limits)
            return _error(503, full, {"Retry-After": str(full.seconds)})
        except UploadError as error:
            if error.status != STOPPED_COMING:
                await drain(request, self._limits)
            return _error(error.status, error)
        except UserError as error:
            await drain(request, self._limits)
            return _error(400, error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except asyncio.CancelledError:  # by uvicorn, which was told to stop and has waited long enough
            return _error(503, "the server stops before this was answered")

    async def _answer(self, request: Request, question: Question) -> Response:
        async def wanted() -> bool:
            return not await request.is_disconnected()

        async with received(request, self._folder, self._limits) as upload:
            job = functools.partial(answer, self._models, self._reader, upload, question, self._limits)
            try:
                said = await self._queue.run(job, wanted)
            except UserError as error:
                return _error(422, error)
        return Response(status_code=CLIENT_GONE) if said is None else JSONResponse(said)

    async def models(self, request: Request) -> Response:
        """`GET /api/models`."""
        headers = {"X-Upload-Limit": str(self._limits.upload_bytes)}
        return JSONResponse([model.to_dict() for model in self._models], headers=headers)

    async def openapi(self, request: Request) -> Response:
        """`GET /api/openapi.json`."""
        return JSONResponse(self._openapi)

    async def health(self, request: Request) -> Response:
        """`GET /healthz`."""
        return JSONResponse({"status": "ok", "requests": self._queue.held})


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "page.html")


async def _examples(request: Request) -> Response:
    return JSONResponse([{"name": name, "title": shown.title} for name, shown in EXAMPLES.items()])


async def _example(request: Request) -> Response:
    if request.path_params["name"] not in EXAMPLES:
        raise HTTPException(404, f"there is no such example (there are {', '.join(EXAMPLES)})")
    video = await run_in_threadpool(example, request.path_params["name"])
    return Response(video, media_type="video/mp4")


def _error(status: int, error: object, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": in_one_line(error)}, status, headers)


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _error(error.status_code, error.detail, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """The answer tells nothing of the server's insides; uvicorn prints what happened."""
    return _error(500, "the server made a mistake; its terminal says which")
