"""The identity of a data set as plain JSON, which checkpoints and models keep, and which is compared when a run goes on."""

import hashlib
import json
import pathlib
from collections.abc import Mapping

from vivit_jax.data.manifest import SHARD, Manifest
from vivit_jax.data.preparation_report import REPORT
from vivit_jax.errors import printable
from vivit_jax.files import sha256
from vivit_jax.heads import Labels, by_head


def identity(name: str, folder: pathlib.Path, labels: Labels, splits: Mapping[str, int], manifest: Manifest | None) -> dict:
    """A data set's identity.

    Returns:
      `{"name", "sha256", "labels": {head: [names]}, "splits": {split: records}}`; the one head of a set without named heads is `""`.
    """
    digest = _digest_of_files(folder) if manifest is None else manifest.digest
    names = {head: list(of_head) for head, of_head in by_head(labels).items()}
    return {"name": name, "sha256": digest, "labels": names, "splits": dict(splits)}


def differences(before: Mapping, now: Mapping) -> str | None:
    """One phrase that says how a data set differs from what it was, or None where it is the same; its name and folder do not matter.

    Args:
      before: an `identity`.
      now: another.
    """
    for head in sorted(before["labels"].keys() | now["labels"].keys()):
        found = _label_differences(before["labels"].get(head, []), now["labels"].get(head, []))
        if found:
            return printable(f"{found} of head {head}" if head else found)
    for split in [*before["splits"], *(split for split in now["splits"] if split not in before["splits"])]:
        then, here = before["splits"].get(split), now["splits"].get(split)
        if here is None:
            return printable(f"no split {split}, which had {then} clips")
        if then is None:
            return printable(f"another split, {split}")
        if then != here:
            return printable(f"{'fewer' if here < then else 'more'} clips in {split} ({here}, were {then})")
    return "other videos, or the same ones encoded anew" if before["sha256"] != now["sha256"] else None


def _label_differences(before: list, now: list) -> str | None:
    if before == now:
        return None
    gone, new = [name for name in before if name not in now], [name for name in now if name not in before]
    if not gone and not new:
        first = next(number for number, (then, here) in enumerate(zip(before, now, strict=False)) if then != here)
        return f"labels in another order (number {first} is {now[first]}, was {before[first]})"
    parts = [
        f"{what} {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}" for what, names in (("without", gone), ("with", new)) if names
    ]
    return f"other labels ({' and '.join(parts)})"


def _digest_of_files(folder: pathlib.Path) -> str:
    """For a data set without a manifest: of its metadata, and of the names and sizes of its shards."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".") and path.name != REPORT]
    facts = {path.name: path.stat().st_size if SHARD.fullmatch(path.name) else sha256(path) for path in files}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
