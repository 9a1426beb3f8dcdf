"""One reading of the names of splits: `val`, `valid`, `validation` and `dev` are the same one, in every layout, config and command."""

import re
from collections.abc import Iterable, Mapping

from vivit_jax.errors import UserError, printable

USUAL = ("train", "val", "test")
SYNONYMS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_CANONICAL = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms}
_PART = re.compile(r"([A-Za-z0-9_\-. ]+?)\s*(\[[^\[\]]*\])?\s*")


def canonical(name: str) -> str:
    """The name that a split is stored under: `train`, `val` or `test` for what is usually called so, else its own.

    >>> canonical("Validation"), canonical("holdout")
    ('val', 'holdout')
    """
    return _CANONICAL.get(name.strip().lower(), name.strip())


def check_name(name: str) -> None:
    """Refuses a split's name that cannot be asked for later.

    Raises:
      UserError: naming it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name.lower() == "all":
        why = "`all` means all splits" if name.lower() == "all" else "use letters, digits and _"
        raise UserError(f"a split cannot be named {name!r}: {why}")


def find(name: str, splits: Iterable[str]) -> str | None:
    """The split among `splits` that `name` means, or None."""
    splits = list(splits)
    if name in splits:
        return name
    return next((split for split in splits if canonical(split) == canonical(name)), None)


def resolve(expression: str, splits: Mapping[str, int], dataset: str) -> str:
    """A split expression in a data set's own names: `validation[:10%]+test` is `val[:10%]+test` where the split is stored as `val`.

    Args:
      expression: split names with slices, joined by `+`; `all` is all splits.
      splits: number of records of each split there is.
      dataset: its name, for the error.

    Raises:
      UserError: for a split that is not there, naming those that are.
    """
    parts = []
    for part in expression.split("+"):
        match = _PART.fullmatch(part.strip())
        name = match and (match[1] if match[1] == "all" else find(match[1], splits))
        if not name:
            known = ", ".join(splits)
            raise UserError(
                printable(
                    f"data set {dataset} has no split {part.strip()!r}: known are {known} and slices as {next(iter(splits), '')}[:10%]"
                )
            )
        parts.append(name + (match[2] or ""))
    return "+".join(parts)
