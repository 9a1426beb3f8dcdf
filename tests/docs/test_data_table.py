"""The table of docs/data.md is the one that its tests' markers make."""

import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture
def write_data_table(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import write_data_table

    return write_data_table


def test_the_committed_table_is_made_from_the_markers(write_data_table):
    text = write_data_table.PAGE.read_text()
    assert write_data_table.page(text) == text, "run python docs/write_data_table.py"
    assert text.count("\n| ") > 14
