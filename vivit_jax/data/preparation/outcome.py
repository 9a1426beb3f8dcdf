"""Counts and lists the clips of a preparation as they are stored or refused, and stops when too many are refused."""

import bisect
import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from vivit_jax.console import first_of
from vivit_jax.data.layouts import Annotations, Clip
from vivit_jax.data.layouts.base import class_names, is_known
from vivit_jax.data.layouts.checks import classes_of
from vivit_jax.data.preparation.listing import Listing
from vivit_jax.data.preparation.transcode import Facts
from vivit_jax.data.workers import Failure
from vivit_jax.errors import UserError
from vivit_jax.heads import by_head

NO_LABEL = "(no label)"  # of a clip whose classes are not known, in a count of clips by class
GIVE_UP_AFTER = 100  # the rest is not tried once so many videos beyond the tolerance were refused
SHOWN = 20  # names printed from a long list; the report has them all


class RefusedError(UserError):
    """More videos were refused than tolerated.

    Attributes:
      rows: (split, name, reason) of each.
    """

    def __init__(self, rows: Sequence[tuple[str, str, str]], clips: int, allowed: int) -> None:
        self.rows = tuple(rows)
        listed = "; ".join(f"{split}: {name}: {reason}" for split, name, reason in self.rows[:SHOWN])
        more = f"; and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        gave_up = len(rows) >= allowed + GIVE_UP_AFTER
        way_out = "the rest was not tried" if gave_up else f"mend them, or leave them out by --tolerate {len(rows)}"
        super().__init__(f"{len(rows)} of {clips} videos cannot be stored, {allowed} tolerated ({way_out}): {listed}{more}")


class EmptySplitError(UserError):
    """No video of a split could be stored, whatever is tolerated."""


@dataclasses.dataclass
class Summary:
    """What a preparation did.

    Attributes:
      path: the folder of the data set.
      counts: stored clips by split and class. With several heads the key is the classes of all heads, joined by ` / `; a clip with several
        classes counts for each.
      stored: stored clips by split.
      seconds_of_video: duration of the stored clips together.
      bytes: size of the stored videos together.
      rates: their frames a second, ascending, each once.
      refused: clips left out, as (split, name, reason).
      changed: clips whose form was changed, as (split, name, what was done).
      remarks: what the layout remarked, one line each.
      resumed: clips that an earlier, interrupted preparation had finished.
      seconds: wall-clock time taken.
    """

    path: pathlib.Path
    counts: dict[str, Counter] = dataclasses.field(default_factory=dict)
    stored: Counter = dataclasses.field(default_factory=Counter)
    seconds_of_video: float = 0.0
    bytes: int = 0
    rates: list[Fraction] = dataclasses.field(default_factory=list)
    refused: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    changed: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    remarks: tuple[str, ...] = ()
    resumed: int = 0
    seconds: float = 0.0

    def __repr__(self) -> str:
        stored = ", ".join(f"{split} {count}" for split, count in self.stored.items())
        return f"Summary({self.path}: clips {stored}; {len(self.refused)} refused, {len(self.changed)} changed in form)"

    @property
    def clips(self) -> int:
        """Stored clips."""
        return self.stored.total()

    def add(self, clip: Clip, stored: Facts) -> None:
        """Counts a stored clip."""
        label = clip.label if is_known(clip.label) else NO_LABEL
        if isinstance(label, Mapping):
            label = " / ".join(label.values())
        self.counts.setdefault(clip.split, Counter()).update(class_names(label))
        self.stored[clip.split] += 1
        self.seconds_of_video += stored.duration
        self.bytes += stored.bytes
        if stored.fps not in self.rates:
            bisect.insort(self.rates, stored.fps)
        if stored.changes:
            self.changed.append((clip.split, clip.name, ", ".join(stored.changes)))


@dataclasses.dataclass
class Outcome:
    """Counts and lists clips one by one as they are stored or refused.

    Attributes:
      annotations: the clips that are asked for.
      allowed: how many of them may be refused.
      summary: counts them.
      listing: lists them.
    """

    annotations: Annotations
    allowed: int
    summary: Summary
    listing: Listing

    def stored(self, clip: Clip, facts: Facts) -> None:
        """Notes a stored clip."""
        self.summary.add(clip, facts)
        self.listing.stored(clip, facts)

    def refused(self, clip: Clip, failure: Failure) -> None:
        """Notes a clip that cannot be stored."""
        reason = failure.reason.removeprefix(f"{clip.name}: ")
        self.summary.refused.append((clip.split, clip.name, reason))
        self.listing.refused(clip, reason)

    @property
    def tolerated(self) -> bool:
        """Whether no more were refused than are allowed to be."""
        return len(self.summary.refused) <= self.allowed

    def lost_classes(self) -> Iterator[str]:
        """Tells the classes all of whose training videos were refused."""
        refused = {(split, name) for split, name, _ in self.summary.refused}
        asked = [clip for clip in self.annotations.clips if clip.split == "train"]
        stored = [clip for clip in asked if (clip.split, clip.name) not in refused]
        for head in by_head(self.annotations.labels) if len(stored) < len(asked) else ():
            if lost := sorted(classes_of(asked, head) - classes_of(stored, head)):
                yield f"warning: every training video of {head or 'class'} {first_of(lost)} was refused, so that no model learns it"

    @property
    def hopeless(self) -> bool:
        """Whether so many more were refused that the rest need not be tried."""
        return len(self.summary.refused) >= self.allowed + GIVE_UP_AFTER

    def check(self) -> None:
        """Raises `RefusedError` if more clips were refused than tolerated, `EmptySplitError` if all of a split were."""
        refused = self.summary.refused
        if not self.tolerated:
            raise RefusedError(refused, len(self.annotations.clips), self.allowed)
        empty = [split for split in self.annotations.splits if split not in self.summary.stored]
        if empty:
            raise EmptySplitError(f"every video of {', '.join(empty)} was refused; the first, {': '.join(refused[0][1:])}")
