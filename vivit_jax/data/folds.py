"""Cross-validation over a prepared data set: assigns clips to folds, which configs and commands name as splits.

`all@fold2of5` is the second of five folds, `all@not2of5` all clips but those; `all@not2,3of5:person:7` leaves out two folds, keeps together
what has one `person` in the data set's list of clips, and is drawn with seed 7. The assignment depends on nothing but the clips' names,
groups and classes, the number of folds and the seed: it is the same for ever, and on every machine.
"""

import dataclasses
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from vivit_jax.errors import UserError

MARK = "@"
_FOLD = re.compile(r"(fold|not)(\d+(?:,\d+)*)of(\d+)(?::([^:]*))?(?::(\d+))?")


@dataclasses.dataclass(frozen=True)
class Folds:
    """Some folds of a data set, or all clips but those in them.

    Attributes:
      numbers: the folds, from 1.
      count: how many there are in all.
      inside: whether the clips are those in these folds.
      group: the column of the list of clips by whose values clips stay together in a fold; None is `group`, or else `source`.
      seed: another seed makes other folds.
    """

    numbers: tuple[int, ...]
    count: int
    inside: bool = True
    group: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 2 or not self.numbers or not all(1 <= number <= self.count for number in self.numbers):
            raise UserError(f"folds are numbered from 1 to their count, which is at least 2: got {self.numbers} of {self.count}")

    def __str__(self) -> str:
        rest = [_quoted(self.group or ""), *([str(self.seed)] if self.seed else [])] if self.group or self.seed else []
        numbers = ",".join(map(str, self.numbers))
        return ":".join([f"{'fold' if self.inside else 'not'}{numbers}of{self.count}", *rest])


def split_and_folds(expression: str) -> tuple[str, Folds | None]:
    """Parses a split expression into its splits and its folds, None if it names no folds: `all@fold1of5` is `all` and the first of 5.

    Raises:
      UserError: for folds that do not exist.
    """
    splits, mark, text = expression.partition(MARK)
    if not mark:
        return splits, None
    match = _FOLD.fullmatch(text)
    if not match:
        forms = "all@fold1of5 or all@not1of5, with a column and a seed all@fold1of5:person:7"
        raise UserError(f"split {expression!r}: folds are named as in {forms}")
    numbers = tuple(int(number) for number in match[2].split(","))
    return splits, Folds(numbers, int(match[3]), match[1] == "fold", _unquoted(match[4] or "") or None, int(match[5] or 0))


def _quoted(column: str) -> str:
    """A column's name in an expression, whose parts are apart by colons."""
    return re.sub(r":|%(?=3A|25)", lambda match: "%3A" if match[0] == ":" else "%25", column)


def _unquoted(text: str) -> str:
    return re.sub(r"%(3A|25)", lambda match: ":" if match[1] == "3A" else "%", text)


def assign_folds(groups: Sequence[Hashable], classes: Sequence[Sequence[Hashable]], count: int, seed: int = 0) -> list[int]:
    """Assigns each clip to a fold, numbered from 1.

    Clips of one group are in one fold. The largest groups are assigned first, and groups of one size in the order of a hash of seed and
    name. Each goes to the fold that has least of its classes, or to the smallest of several such folds.

    Args:
      groups: each clip's group.
      classes: each clip's class, or its several classes.
      count: how many folds.
      seed: another seed makes other folds.

    Raises:
      UserError: if there are fewer groups than folds.
    """
    members = defaultdict(Counter)
    sizes = Counter(groups)
    for group, names in zip(groups, classes, strict=True):
        members[group].update(names)
    if len(sizes) < count:
        raise UserError(f"{len(sizes)} groups of clips are too few for {count} folds")
    totals = sum(members.values(), Counter())
    has, held, chosen = [Counter() for _ in range(count)], [0] * count, {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], hashlib.sha256(f"{seed}:{group}".encode()).digest())):
        shares = [sum(number * has[fold][name] / totals[name] for name, number in members[group].items()) for fold in range(count)]
        fold = min(range(count), key=lambda fold: (round(shares[fold], 9), held[fold], fold))
        chosen[group] = fold + 1
        has[fold].update(members[group])
        held[fold] += sizes[group]
    return [chosen[group] for group in groups]


def clip_groups(names: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, str]], column: str | None, dataset: str) -> list[str]:
    """The group of each clip, whose clips must stay in one fold: the value of a column of the list of clips.

    Args:
      names: (split, name) of each clip.
      rows: the rows of the data set's list of clips.
      column: one of its columns. None takes each clip's `group`, or else its `source`, or else the clip itself, and also keeps together
        clips of files with equal contents.
      dataset: its name, for errors.

    Raises:
      UserError: for a column that is not there, or says nothing of a clip.
    """
    listed = {(row["split"], row["name"]): row for row in rows}
    if column is None:
        found = [listed.get(name, {}) for name in names]
        own = [row.get("group") or row.get("source") or "/".join(name) for row, name in zip(found, names, strict=True)]
        return _merged(own, [listed.get(name, {}).get("sha256") or None for name in names])
    known = list(rows[0]) if rows else []
    if column not in known:
        raise UserError(f"the list of clips of data set {dataset} has no column {column!r}: it has {', '.join(known) or 'none'}")
    missing = [name for name in names if not listed.get(name, {}).get(column)]
    if missing:
        raise UserError(f"{len(missing)} of {len(names)} clips of data set {dataset} have no {column}, the first is {'/'.join(missing[0])}")
    return [listed[name][column] for name in names]


def _merged(groups: Sequence[str], contents: Sequence[str | None]) -> list[str]:
    """Merges groups that share a file's contents, directly or through other groups, under the first of their names."""
    from scipy.cluster.hierarchy import DisjointSet  # not at the top: every process that reads clips would wait for it

    joined = DisjointSet(("group", group) for group in groups)
    for group, content in zip(groups, contents, strict=True):
        if content is not None:
            joined.add(("content", content))
            joined.merge(("content", content), ("group", group))
    first: dict[Hashable, str] = {}
    for group in sorted(set(groups)):
        first.setdefault(joined["group", group], group)
    return [first[joined["group", group]] for group in groups]


class Subset(Sequence):
    """Some of the records of a split."""

    def __init__(self, records: Sequence, indices: Sequence[int]) -> None:
        self._records, self._indices = records, tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def places(self) -> list[tuple[str, int]]:
        """As those of `Records`."""
        places = self._records.places
        return [places[index] for index in self._indices]

    def __getitem__(self, index: int) -> object:
        return self._records[self._indices[index]]
