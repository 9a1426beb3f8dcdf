"""A Hugging Face Space of a server: a folder that is pushed as it is, with the versions that are installed here."""

import importlib.metadata
import json
import os
import pathlib
import shutil
import sys
import typing
from collections.abc import Mapping

from vivit_jax.atomic import appearing, refuse_mount_point
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Views
from vivit_jax.serving.limits import ServingLimits
from vivit_jax.serving.models import names_of
from vivit_jax.weights.hub_cache import HUB
from vivit_jax.weights.model_dir import CONFIG, PREPROCESS, WEIGHTS, load_model_dir

if typing.TYPE_CHECKING:
    from packaging.requirements import Requirement

PORT = 7860  # where Spaces look for a server
SERVER = ("starlette", "uvicorn", "python-multipart")
MODEL = (CONFIG, PREPROCESS, WEIGHTS)
PACKAGE = pathlib.Path(__file__).parents[1]

README = """---
title: {title}
emoji: 🎞️
colorFrom: blue
colorTo: indigo
sdk: docker
app_port: {port}
---

{models}, served by `vivit serve`: give it a video, and it shows what the model takes it for, the frames it looked at, and where in them it
found its evidence. Programs ask the same by `POST /api/predict`; `/api/openapi.json` describes it.
"""

# The user with the number 1000 is the one that Spaces run as.
DOCKERFILE = """FROM python:{python}-slim
RUN useradd --create-home --uid 1000 user
USER user
ENV HOME=/home/user PATH=/home/user/.local/bin:$PATH JAX_PLATFORMS=cpu
WORKDIR /home/user/app
COPY --chown=user requirements.txt .
RUN pip install --no-cache-dir --user --requirement requirements.txt
COPY --chown=user . .
EXPOSE {port}
CMD {command}
"""

ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


def write_space(folder: str | pathlib.Path, sources: list[str], *, views: Views, options: Mapping[str, int] | None = None) -> list[str]:
    """Writes a Space that serves models to everybody, on a CPU: whole, or not at all.

    Args:
      folder: a new or empty folder.
      sources: model directories, which are copied, or `hf://org/name`, which the Space loads when it starts.
      views: the views of each video, where a request does not say.
      options: other options of its `vivit serve`, by name.

    Returns:
      The files written, relative to the folder, sorted.

    Raises:
      UserError: for more views than a server takes, a folder that holds something, a model that is neither or is damaged, or a package
        that is not installed.
    """
    ServingLimits().check_views(views)
    folder = pathlib.Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something already: give a new folder")
    refuse_mount_point(folder)
    for source in sources:
        _check_source(source)
    names = [name.replace(" ", "_") for name in names_of(sources)]
    served = [source if source.startswith(HUB) else f"models/{name}" for source, name in zip(sources, names, strict=True)]
    written = _texts(served, names, views, options or {})
    with appearing(folder) as new:
        new.mkdir()
        for source, name in zip(sources, served, strict=True):
            if name != source:
                _copy_model(pathlib.Path(source), new / name)
        _copy_package(new / PACKAGE.name)
        for name, contents in written.items():
            (new / name).write_text(contents, encoding="utf-8")
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _texts(served: list[str], names: list[str], views: Views, options: Mapping[str, int]) -> dict[str, str]:
    """The files of a Space but for models and package, by name."""
    requirements = pinned()
    command = ["python", "-m", PACKAGE.name, "serve", "--host", "0.0.0.0", "--port", str(PORT), "--public"]
    command += [part for model in served for part in ("--model", model)] + ["--views", f"{views[0]}x{views[1]}"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return {
        "README.md": README.format(title=" and ".join(names)[:60], port=PORT, models=" and ".join(f"`{name}`" for name in names)),
        "Dockerfile": DOCKERFILE.format(
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            port=PORT,
            command=json.dumps(command),
        ),
        "requirements.txt": "\n".join(requirements) + "\n",
        ".gitattributes": ATTRIBUTES,
    }


def pinned() -> list[str]:
    """All that the server needs, directly or not, as `name==version` of what is installed here, sorted.

    Raises:
      UserError: if something is not installed.
    """
    from packaging.requirements import Requirement

    versions: dict[str, str] = {}
    waiting = [Requirement(name) for name in (PACKAGE.name, *SERVER)]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        key = (requirement.name.lower().replace("_", "-"), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            raise UserError(f"{requirement.name} is not installed here, so its version cannot be pinned: pip install it first") from None
        versions[key[0]] = distribution.version.partition("+")[0]
        needed = [Requirement(line) for line in distribution.requires or []]
        waiting += [one for one in needed if _applies(one, requirement.extras)]
    del versions[PACKAGE.name.replace("_", "-")]  # the folder itself holds it
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def _applies(requirement: "Requirement", extras: set[str]) -> bool:
    """Whether something that a package names as needed is needed here, with these of the package's extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""}))


def _check_source(source: str) -> None:
    """Refuses a folder that is no model, and a model that is damaged: else it would be found out on the hub."""
    if source.startswith(HUB):
        return
    missing = [name for name in MODEL if not (pathlib.Path(source) / name).is_file()]
    if missing:
        raise UserError(
            f"{source} is not a model directory (it has no {missing[0]}): make one by vivit convert, or name one by {HUB}org/name"
        )
    load_model_dir(source)


def _copy_package(to: pathlib.Path) -> None:
    """As `shutil.copytree` does, whose error is not that of the system, but a list for all files that a full disk had no room for."""
    for folder, _, names in os.walk(PACKAGE):
        if pathlib.Path(folder).name != "__pycache__":
            there = to / pathlib.Path(folder).relative_to(PACKAGE)
            there.mkdir()
            for name in names:
                shutil.copyfile(pathlib.Path(folder) / name, there / name)


def _copy_model(source: pathlib.Path, to: pathlib.Path) -> None:
    to.mkdir(parents=True)
    for name in MODEL:
        shutil.copyfile(source / name, to / name)
