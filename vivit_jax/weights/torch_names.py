"""torch's names for our variables, by a table of modules that each library has."""

import re
from collections.abc import Iterable

from vivit_jax.weights.layers import COLLECTION

STATISTICS = f"batch_stats{COLLECTION}"
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}

# Rows of (a regular expression for the whole path of a module of ours, torch's name of it); `{0}`, `{1}` are the expression's groups,
# numbers without leading zeros.
Table = tuple[tuple[str, str], ...]


def torch_names(paths: Iterable[str], table: Table) -> dict[str, str]:
    """Torch's name of each of our variables, by its path as `flatten_variables` gives it."""
    return {path: _torch_name(path, table) for path in paths}


def _torch_name(path: str, table: Table) -> str:
    module, _, leaf = path.removeprefix(STATISTICS).rpartition("/")
    for ours, theirs in table:
        if match := re.fullmatch(ours, module):
            groups = (int(group) if group.isdigit() else group for group in match.groups())
            return f"{theirs.format(*groups)}.{LEAVES[leaf]}"
    raise AssertionError(f"no name for {path}")
