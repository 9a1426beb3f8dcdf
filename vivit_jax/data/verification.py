"""Checks a prepared data set against its manifest, and the original videos against the hashes in its list of clips."""

import dataclasses
import pathlib
from collections.abc import Mapping

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.data.manifest import MANIFEST
from vivit_jax.data.preparation import listing
from vivit_jax.data.summary import SplitSummary
from vivit_jax.errors import UserError, printable
from vivit_jax.files import sha256

SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes:
      checked: what was checked, a line each.
      faults: what is not as it was, a line each.
    """

    checked: tuple[str, ...]
    faults: tuple[str, ...]


def verify_dataset(dataset: VideoDataset, splits: Mapping[str, SplitSummary], originals: pathlib.Path | None = None) -> Verdict:
    """Compares a data set, all of whose records were read, with its list of clips.

    Args:
      dataset: the data set.
      splits: what its records say; each was compared with its SHA-256 as it was read.
      originals: the folder of the videos that it was made of, to hash them too; None hashes none.

    Raises:
      UserError: if there are originals to compare, and the list has the SHA-256 of none, as of a set by an older `vivit prepare`.
    """
    count = sum(len(summary.frames) for summary in splits.values())
    hashed = "each with the SHA-256 of the manifest" if (dataset.path / MANIFEST).exists() else "without a manifest to compare them with"
    checked, faults = [f"{count} records are whole, {hashed}"], []
    rows = list(listing.read(dataset.path))
    stored = [row for row in rows if not row["refused"]]
    if rows:
        refused = f", and {len(rows) - len(stored)} that were refused" if len(rows) > len(stored) else ""
        checked.append(f"{listing.CLIPS} lists {len(stored)} clips{refused}")
        faults += _unlike(stored, splits)
    if originals is not None:
        known = [row for row in stored if row["sha256"]]
        if not known:
            raise UserError(f"{dataset.path} does not say what it was made of, so --originals has nothing to compare: prepare it again")
        digests = {source: _hashed(originals / source) for source in {row["source"] for row in known}}
        changed = [row for row in known if digests[row["source"]] != row["sha256"]]
        checked.append(f"{len(known) - len(changed)} of {len(known)} clips have the original in {originals} that they were made of")
        faults += [f"{row['source']}: the original {'has changed' if digests[row['source']] else 'is gone'}" for row in changed]
    return Verdict(tuple(checked), tuple(map(printable, faults)))


def _unlike(rows: list[Mapping[str, str]], splits: Mapping[str, SplitSummary]) -> list[str]:
    listed = {(row["split"], row["name"]): row["frames"] for row in rows}
    found = {(split, name): str(frames) for split, summary in splits.items() for name, frames in summary.frames.items()}
    return [
        f"{'/'.join(clip)}: {found.get(clip, 'no')} frames stored, {listed.get(clip, 'none')} listed"
        for clip in sorted(listed | found)
        if listed.get(clip) != found.get(clip)
    ]


def _hashed(path: pathlib.Path) -> str | None:
    try:
        return sha256(path)
    except OSError:
        return None
