"""Assigns clips without splits to train, val and test, by class and by group; the same names and seed always give the same splits."""

import argparse
import dataclasses
import hashlib
import pathlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from vivit_jax.data.layouts.base import Annotations, Clip, class_names
from vivit_jax.data.layouts.copies import content_groups
from vivit_jax.data.splits import USUAL
from vivit_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Shares:
    """How many of the clips each split is to have.

    Attributes:
      percent: the percentage of all clips that each split gets; they add up to 100.
      seed: another seed makes another assignment.
    """

    percent: Mapping[str, float]
    seed: int = 0


def percentages(text: str) -> dict[str, float]:
    """`70,15,15` as the percentages of train, val and test; `80,20` as those of train and test.

    Raises:
      argparse.ArgumentTypeError: for anything else.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not all(0 <= number <= 100 for number in numbers) or not numbers[0] or abs(sum(numbers) - 100) > 0.01:
        raise argparse.ArgumentTypeError(
            f"must be percentages of train, val and test, or of train and test, that add up to 100, got {text!r}"
        )
    splits = USUAL if len(numbers) == 3 else ("train", "test")
    return {split: number for split, number in zip(splits, numbers, strict=True) if number}


def assign(annotations: Annotations, shares: Shares) -> Annotations:
    """Assigns each clip to a split, so that each class is divided by `shares` as nearly as whole groups allow.

    Clips of one group, segments of one video and files of equal contents stay together. Clips are taken in the order of a hash of the seed
    and their names. Without groups each class is cut in that order, so that one more clip moves at most one other clip across each border.
    Where that leaves a split empty, because no class has enough clips or groups for it, the shares are those of all clips and not of each
    class.

    Raises:
      UserError: if a split is left without a clip.
    """
    units = _units(annotations.clips)
    labels = {key: Counter(name for clip in clips for name in _classes(clip)) for key, clips in units.items()}
    single = all(len(clips) == 1 and labels[key].total() == 1 for key, clips in units.items())
    keys = sorted(units, key=lambda key: _order(shares.seed, units[key]))
    chosen = (_cut if single else _fill)(keys, labels, shares.percent)
    if len(set(chosen.values())) < len(shares.percent):
        chosen = _spread(keys, labels, shares.percent)
    splits = {id(clip): chosen[key] for key, clips in units.items() for clip in clips}
    clips = [dataclasses.replace(clip, split=splits[id(clip)]) for clip in annotations.clips]
    counts = Counter(clip.split for clip in clips)
    empty = [split for split in shares.percent if not counts[split]]
    if empty and clips:
        asked = ",".join(f"{share:g}" for share in shares.percent.values())
        without_val = ", or leave val out as in --split 80,20" if len(shares.percent) > 2 else ""
        raise UserError(
            f"{len(units)} {'videos' if single else 'groups of videos'} are too few for --split {asked}: none is left for "
            f"{', '.join(empty)}; give it a larger share{without_val}"
        )
    sizes = ", ".join(f"{counts[split]} {split}" for split in shares.percent)
    return dataclasses.replace(annotations, clips=clips, remarks=(*annotations.remarks, f"split by --split, seed {shares.seed}: {sizes}"))


def _units(clips: Sequence[Clip]) -> dict[Hashable, list[Clip]]:
    """Clips that must stay together, because they share a group or a video's contents, directly or through other clips."""
    from scipy.cluster.hierarchy import DisjointSet  # not at the top: every command would wait for it

    contents = content_groups([clip.source for clip in clips if isinstance(clip.source, pathlib.Path)])
    content = [("content", contents.get(clip.source, clip.name)) for clip in clips]
    sets = DisjointSet(content)
    for clip, key in zip(clips, content, strict=True):
        if clip.group is not None:
            sets.add(("group", clip.group))
            sets.merge(key, ("group", clip.group))
    units = defaultdict(list)
    for clip, key in zip(clips, content, strict=True):
        units[sets[key]].append(clip)
    return dict(units)


def _classes(clip: Clip) -> tuple[str, ...]:
    if isinstance(clip.label, Mapping):
        return tuple(f"{head}: {name}" for head, name in clip.label.items())
    return class_names(clip.label) or ("",)


def _order(seed: int, clips: Sequence[Clip]) -> bytes:
    name = min(clip.group if clip.group is not None else clip.name for clip in clips)
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _cut(keys: Sequence[Hashable], labels: Mapping[Hashable, Counter], percent: Mapping[str, float]) -> dict[Hashable, str]:
    """Cuts each class at its shares; the first clip of each class always goes to the first split, train."""
    chosen = {}
    for members in _by_class(keys, labels):
        start, total = 0, 0.0
        for split, share in percent.items():
            total += share
            end = max(round(total / 100 * len(members)), 1)
            chosen |= dict.fromkeys(members[start:end], split)
            start = end
        chosen |= dict.fromkeys(members[start:], split)
    return chosen


def _spread(keys: Sequence[Hashable], labels: Mapping[Hashable, Counter], percent: Mapping[str, float]) -> dict[Hashable, str]:
    """Deals the groups of one class after another to the split that lacks most of its share so far; the first of each class to train."""
    chosen, counts = {}, Counter()
    for members in _by_class(keys, labels):
        for position, key in enumerate(members):
            size = labels[key].total()
            lacking = {split: share / 100 * (counts.total() + size) - counts[split] for split, share in percent.items()}
            chosen[key] = max(lacking, key=lacking.get) if position else next(iter(percent))
            counts[chosen[key]] += size
    return chosen


def _by_class(keys: Sequence[Hashable], labels: Mapping[Hashable, Counter]) -> list[list[Hashable]]:
    by_class = defaultdict(list)
    for key in keys:
        by_class[next(iter(labels[key]))].append(key)
    return list(by_class.values())


def _fill(keys: Sequence[Hashable], labels: Mapping[Hashable, Counter], percent: Mapping[str, float]) -> dict[Hashable, str]:
    """Gives each group, the largest first, to the split that still lacks the most clips of its classes."""
    totals = sum(labels.values(), Counter())
    lacking = {split: {name: share / 100 * count for name, count in totals.items()} for split, share in percent.items()}
    chosen = {}
    for key in sorted(keys, key=lambda key: -labels[key].total()):
        counts = labels[key]
        chosen[key] = max(percent, key=lambda split: sum(count * lacking[split][name] / totals[name] for name, count in counts.items()))
        for name, count in counts.items():
            lacking[chosen[key]][name] -= count
    return chosen
