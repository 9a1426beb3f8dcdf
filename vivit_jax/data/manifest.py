"""The manifest of a prepared data set: a record of what `vivit prepare` wrote, by which later changes are noticed.

`manifest.json` lists every file with its size and SHA-256; `records.sha256` holds 32 bytes for each record, in the order of the shards.
Opening a set hashes its small files and compares the sizes of its shards; reading a record hashes what it holds.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import UInt8

from vivit_jax.atomic import write_json
from vivit_jax.data.preparation_report import reported
from vivit_jax.errors import UserError
from vivit_jax.files import read_json, sha256
from vivit_jax.heads import Labels

MANIFEST = "manifest.json"
HASHES = "records.sha256"
DIGEST = 32  # bytes of a SHA-256
SHARD = re.compile(r".+\.array_record-\d{5}-of-\d{5}")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What was written.

    Attributes:
      labels: class names in the order of their numbers, exactly as the source spells them; with several heads, such a tuple for each head.
      splits: number of records of each split.
      shards: number of records of each shard, in the order of the rows of `records.sha256`.
      files: (bytes, SHA-256) of each file but the manifest.
    """

    labels: Labels
    splits: Mapping[str, int]
    shards: Mapping[str, int]
    files: Mapping[str, tuple[int, str]]

    @property
    def first_rows(self) -> dict[str, int]:
        """The row of `records.sha256` at which each shard begins."""
        ends = np.cumsum([0, *self.shards.values()])
        return {name: int(start) for name, start in zip(self.shards, ends, strict=False)}

    @property
    def digest(self) -> str:
        """A SHA-256 of the records and the labels, in hexadecimal: the same for the same videos under any name."""
        shards = [[name.partition("-")[2], count] for name, count in self.shards.items()]
        return _digest({"labels": self.labels, "splits": self.splits, "shards": shards, "records": self.files[HASHES][1]})


def write(folder: pathlib.Path, labels: Labels, splits: Mapping[str, int], records: Mapping[str, Iterable[Mapping]]) -> None:
    """Writes the manifest of the finished data set in `folder`.

    Args:
      folder: the folder of the data set's version.
      labels: class names.
      splits: number of records of each split.
      records: the records of each shard in order, by the shard's name.
    """
    rows, shards = [], {}
    for name, stored in records.items():
        before = len(rows)
        rows += [record_digest(record) for record in stored]
        shards[name] = len(rows) - before
    (folder / HASHES).write_bytes(b"".join(rows))
    files = {path.name: [path.stat().st_size, sha256(path)] for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    contents = {"labels": labels, "splits": dict(splits), "shards": shards, "files": files}
    write_json(folder / MANIFEST, {"sha256": _digest(contents), "contents": contents})


def read(folder: pathlib.Path) -> Manifest | None:
    """The manifest of a data set, checked against its files; None for a data set of an older `vivit prepare`, which wrote none.

    Raises:
      UserError: naming the file that is damaged or gone.
    """
    path = folder / MANIFEST
    if not path.exists():
        if reported(folder, "manifest", bool) or (folder / HASHES).exists():
            raise damaged(path, "the file is gone")
        return None
    try:
        outer = read_json(path)
        contents, whole = outer["contents"], outer["sha256"] == _digest(outer["contents"])
        labels = contents["labels"]
        labels = {head: tuple(names) for head, names in labels.items()} if isinstance(labels, dict) else tuple(labels)
        files = {name: (size, digest) for name, (size, digest) in contents["files"].items()}
        manifest = Manifest(labels, contents["splits"], contents["shards"], files)
    except OSError as error:
        raise damaged(path, error.strerror or "it cannot be read") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise damaged(path, "it is not what `vivit prepare` wrote")
    for name, (size, digest) in manifest.files.items():
        _check_file(folder / name, size, None if SHARD.fullmatch(name) else digest)
    return manifest


def read_hashes(folder: pathlib.Path, manifest: Manifest) -> UInt8[np.ndarray, "records 32"]:
    """The SHA-256 of each record.

    Raises:
      UserError: if the data set has been replaced since its manifest was read: the labels would be the old one's, and the records not.
    """
    rows = (folder / HASHES).read_bytes()
    if hashlib.sha256(rows).hexdigest() != manifest.files[HASHES][1]:
        raise UserError(f"{folder} was made anew, or damaged, since it was opened: give the same command again")
    return np.frombuffer(rows, np.uint8).reshape(-1, DIGEST)


def record_digest(record: Mapping) -> bytes:
    """The SHA-256 of a record's values, as tfds gives them; it does not depend on how they are serialised."""
    digest = hashlib.sha256()
    _feed(digest, record)
    return digest.digest()


def _feed(digest: "hashlib._Hash", value: object) -> None:
    if isinstance(value, Mapping):
        for key in sorted(value):
            digest.update(f"{key}:".encode())
            _feed(digest, value[key])
        return
    if not isinstance(value, bytes):
        value = np.asarray(value)
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        value = value.tobytes()
    digest.update(len(value).to_bytes(8, "little"))
    digest.update(value)


def damaged(path: pathlib.Path, what: str) -> UserError:
    """The error for a file of a data set that is not as it was written."""
    return UserError(f"{path} is damaged ({what}): copy it again, or make the data set again by `vivit prepare ... --overwrite`")


def _check_file(path: pathlib.Path, size: int, digest: str | None) -> None:
    try:
        found = path.stat().st_size
        if found != size:
            raise damaged(path, f"it has {found} bytes, {size} were written")
        if digest is not None and sha256(path) != digest:
            raise damaged(path, "its SHA-256 is not that of the manifest")
    except OSError as error:
        raise damaged(path, error.strerror or "it cannot be read") from None


def _digest(contents: object) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
