"""docs/promises.md is the page that the tests' markers make."""

import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture
def write_promises(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import write_promises

    return write_promises


def test_the_committed_page_is_made_from_the_markers(write_promises):
    assert write_promises.PAGE.read_text() == write_promises.page(), "run python docs/write_promises.py"


def test_every_promise_says_how_it_is_shown(write_promises):
    text = write_promises.page()
    assert text.count("| `tests/") > 40
    assert all(f"## {subject}" in text for subject in write_promises.SUBJECTS)
