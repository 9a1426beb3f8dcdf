"""Writes docs/config.md, the keys of an experiment, from the dataclasses that define them.

python docs/write_config.py
"""

import itertools
import pathlib

from vivit_jax.keys import Key, experiment_keys
from vivit_jax.models.families import DEFAULT, FAMILIES

PAGE = pathlib.Path(__file__).with_name("config.md")
BEGINNING = """\
# Keys of an experiment

This page lists every key of an experiment with its type, default and meaning. A config file sets keys, and the command line overrides
them: `--config.training.batch_size=32`. `vivit inspect --keys PATTERN` prints the same in a terminal. The page is written by
`docs/write_config.py` from the docstrings of the code.
"""
HEADINGS = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"


def main() -> None:
    """Rewrites the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """A table for each section, and for the models of each family."""
    sections = [_section(name, keys) for name, keys in itertools.groupby(experiment_keys(), _section_of) if name != "model"]
    models = [
        _section(f"model, family {name}", experiment_keys("model.*", family=name)) for name in (DEFAULT, *sorted({*FAMILIES} - {DEFAULT}))
    ]
    return "\n".join([BEGINNING, *models, *sections])


def _section_of(key: Key) -> str:
    section, dot, _ = key.name.partition(".")
    return section if dot else "the run"


def _section(name: str, keys: list[Key]) -> str:
    return f"## {name}\n\n{HEADINGS}" + "".join(_row(key) for key in keys)


def _row(key: Key) -> str:
    cells = (f"`{key.name}`", key.type, f"`{key.default}`" if key.default else "", key.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    main()
