"""docs/promises.md is the page that the markers of the tests make."""

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


def test_every_subject_has_promises_and_every_named_file_is_there(write_promises):
    page = write_promises.page()
    for subject, names in write_promises.SUBJECTS.items():
        assert page.split(f"## {subject.capitalize()}\n")[1].split("\n## ")[0].count("\n| ") > 3, subject
        for name in names:
            assert (write_promises.ROOT / "tests" / f"{name}.py").is_file(), name


def test_rows_are_whole(write_promises):
    for line in write_promises.page().splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") == 6, line
