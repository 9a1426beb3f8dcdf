"""Every key of an experiment with its type, default and meaning, read from the dataclasses that define them.

`vivit inspect --keys` prints this table and `docs/config.md` holds it, so that neither can differ from the code.
"""

import dataclasses
import difflib
import fnmatch
import inspect
import re
import typing
from collections.abc import Iterator

from vivit_jax.config import Experiment
from vivit_jax.errors import UserError
from vivit_jax.models.families import DEFAULT, FAMILIES, family_named
from vivit_jax.typed import describe_type

ENTRY = re.compile(r"^  (\w+): (.*)$")


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of an experiment.

    Attributes:
      name: dotted, as on the command line after `--config.`.
      type: such as `float` or `str or None`.
      default: as Python writes it; empty for a key that must be set.
      meaning: the sentences that define it.
    """

    name: str
    type: str
    default: str
    meaning: str


def experiment_keys(pattern: str = "", *, family: str = DEFAULT) -> list[Key]:
    """The keys of an experiment, in order.

    Args:
      pattern: a part of the names to list; one with `*` or `?` must match a whole name. An empty one lists all.
      family: the model family, which decides the keys under `model.`.

    Raises:
      UserError: if no key matches, or for an unknown family.
    """
    models = ", ".join(f"`{name}`" for name in FAMILIES)
    model = [
        Key("model.family", "str", repr(family), f"the family of models, which decides the other keys under `model.`: {models}."),
        *keys_of(family_named(family).config, "model."),
    ]
    keys = [*model, *(key for key in keys_of(Experiment) if key.name != "model")]
    whole = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    found = [key for key in keys if fnmatch.fnmatchcase(key.name, whole.lower())]
    if not found:
        by_end = {key.name.rpartition(".")[2]: key.name for key in keys}
        nearest = difflib.get_close_matches(pattern.lower(), [*by_end, *by_end.values()], n=1)
        hint = f": did you mean {by_end.get(nearest[0], nearest[0])}?" if nearest else ": `vivit inspect --keys` lists all"
        raise UserError(f"no key of an experiment is called {pattern!r}, in part or whole{hint}")
    return found


def keys_of(cls: type, prefix: str = "") -> Iterator[Key]:
    """The keys of a section's dataclass, and of the sections in it, in order.

    Args:
      cls: a dataclass whose docstring explains each field under `Attributes:`.
      prefix: the section's dotted name, ending in a dot; empty at the root.
    """
    hints, meanings = typing.get_type_hints(cls), attributes_of(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from keys_of(hint, f"{prefix}{field.name}.")
        else:
            default = "" if field.default is dataclasses.MISSING else repr(field.default)
            yield Key(prefix + field.name, describe_type(hint), default, meanings[field.name])


def attributes_of(cls: type) -> dict[str, str]:
    """The description of each attribute, joined into one line, from the docstrings of a class and of those that it inherits from."""
    meanings: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        meanings |= _attributes_in(inspect.cleandoc(parent.__doc__ or ""))
    return meanings


def _attributes_in(docstring: str) -> dict[str, str]:
    _, _, section = docstring.partition("Attributes:\n")
    meanings: dict[str, str] = {}
    name = None
    for line in section.splitlines():
        if entry := ENTRY.match(line):
            name, meanings[entry[1]] = entry[1], entry[2]
        elif name and line.startswith("    "):
            meanings[name] += " " + line.strip()
        elif line and not line.startswith(" "):  # the next section
            break
    return meanings
