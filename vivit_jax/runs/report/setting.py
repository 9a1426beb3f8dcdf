"""What a run was made with: its configuration, versions and machine, folded."""

import json
from collections.abc import Mapping
from typing import Any

from vivit_jax.runs.pages.page import cut, text
from vivit_jax.runs.pages.tables import Column, table
from vivit_jax.runs.record import RunRecord

LETTERS = 1000  # of a value
KEYS = 1000  # of a table

COLUMNS = (Column("key", number=False), Column("value", number=False))


def setting(run: RunRecord) -> str:
    """The configuration as in `config.json`, and what else that records."""
    return _folded("Configuration", run.config) + _folded("Versions and machine", run.surroundings)


def _folded(title: str, values: Mapping[str, Any]) -> str:
    """A part with a table of single values, and one for each section."""
    single = {key: value for key, value in values.items() if not isinstance(value, dict)}
    tables = [_table(title, single)] if single else []
    tables += [
        f"<h3>{text(cut(key, LETTERS))}</h3>{_table(key, inner)}" for key, inner in list(values.items())[:KEYS] if isinstance(inner, dict)
    ]
    return f"<details><summary>{title}</summary>{''.join(tables)}</details>"


def _table(title: str, values: Mapping[str, Any]) -> str:
    rows = [(cut(key, LETTERS), cut(json.dumps(value, ensure_ascii=False), LETTERS)) for key, value in list(values.items())[:KEYS]]
    return table(COLUMNS, rows, title, hidden_caption=True)
