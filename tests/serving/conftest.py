"""Two small models, saved and served once for all tests of the server."""

import dataclasses

import pytest
from chromium import browser, visits
from toys import CONFIG, LABELS, PREPROCESS, random_variables, random_video

from vivit_jax.weights import save_pretrained

__all__ = ["browser", "visits"]


@pytest.fixture(scope="session")
def model_dirs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    mean = dataclasses.replace(CONFIG, pool="mean")
    return [
        str(save_pretrained(folder / "token", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)),
        str(save_pretrained(folder / "mean", mean, random_variables(mean, seed=1), PREPROCESS, LABELS)),
    ]


@pytest.fixture(scope="session")
def models(model_dirs):
    from vivit_jax.serving.models import load_models

    return load_models(model_dirs)


@pytest.fixture(scope="session")
def server(models):
    from client import serving

    with serving(models) as client:
        yield client


@pytest.fixture(scope="session")
def video():
    return random_video(0, frames=24)
