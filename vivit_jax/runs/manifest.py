"""SHA-256 manifests of checkpoints. Orbax silently restores a flipped bit as a wrong number; the manifest detects it.

A step is whole if its manifest exists, which is written last and removed first. During a save a mark lies beside the step, by which a save
that was cut off can be told from a manifest that was lost.
"""

import errno
import json
import os
import re
from pathlib import Path

from vivit_jax.atomic import write_atomically
from vivit_jax.files import read_json, sha256

# Errors that say nothing of a file's contents: it may be read another time, or by another user.
NO_DAMAGE = (errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)

FACTS_FILE = Path("facts") / "metadata"


def manifest_path(step_dir: Path) -> Path:
    """`checkpoints/200.sha256.json` for `checkpoints/200`."""
    return step_dir.with_name(f"{step_dir.name}.sha256.json")


def mark_path(step_dir: Path) -> Path:
    """`checkpoints/.200.saving`, which exists while `checkpoints/200` is being saved."""
    return step_dir.with_name(f".{step_dir.name}.saving")


def is_cut_off(step_dir: Path) -> bool:
    """Whether a step without a manifest was being saved, or removed, when its process ended; or still is."""
    return mark_path(step_dir).is_file() and not manifest_path(step_dir).is_file()


def step_dirs(directory: Path) -> list[Path]:
    """The folders of steps in `checkpoints`, whole or not, ascending. A folder `007`, or one of other digits, is not ours."""
    if not directory.is_dir():
        return []
    names = (path.name for path in directory.iterdir() if path.is_dir())
    return [directory / name for name in sorted((name for name in names if re.fullmatch("0|[1-9][0-9]*", name)), key=int)]


def write_manifest(step_dir: Path) -> None:
    """Writes the size and SHA-256 of every file of a step, atomically."""
    entries = {name: _entry(step_dir / name) for name in _files(step_dir)}
    write_atomically(manifest_path(step_dir), json.dumps(entries, indent=1))


def replace_facts(step_dir: Path, facts: dict) -> None:
    """Replaces the facts of a whole step, which stays whole throughout: meanwhile its manifest allows both the old and the new facts."""
    name, path = str(FACTS_FILE), step_dir / FACTS_FILE
    entries = read_json(manifest_path(step_dir))
    new = path.with_name(f".{path.name}.new")
    write_atomically(new, json.dumps(facts))
    entries[name] = [entries[name], _entry(new)]
    new.unlink()
    write_atomically(manifest_path(step_dir), json.dumps(entries, indent=1))
    write_atomically(path, json.dumps(facts))
    write_manifest(step_dir)


def read_facts(step_dir: Path) -> dict:
    """The facts of a step, which may be damaged; empty where they cannot be read."""
    try:
        facts = read_json(step_dir / FACTS_FILE)
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def damage(step_dir: Path) -> str | None:
    """Says what is wrong with a step by its manifest; None if every file is as it was written, there is no other file, and it has its name.

    The step that its facts record must be that of the folder's name; checkpoints of older versions record none.

    Raises:
      OSError: where the system does not let it be read, which is no damage.
    """
    manifest = manifest_path(step_dir)
    if not manifest.is_file():
        return f"its manifest {manifest.name} is missing"
    try:
        entries = read_json(manifest)
        files = _files(step_dir)
        if not entries:
            return f"its manifest {manifest.name} lists no files"
        for name, entry in entries.items():
            if name not in files:
                return f"{name} is missing"
            allowed = entry if isinstance(entry, list) else [entry]
            size = (step_dir / name).stat().st_size
            if all(size != one["size"] for one in allowed):
                return f"{name} has {size} bytes in place of {allowed[-1]['size']}"
            if _entry(step_dir / name) not in allowed:
                return f"{name} differs from its SHA-256"
        if others := [name for name in files if name not in entries]:
            return f"its manifest {manifest.name} does not list {', '.join(others)}"
        if (step := read_facts(step_dir).get("step", int(step_dir.name))) != int(step_dir.name):
            return f"it is the checkpoint of step {step} under another name"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in NO_DAMAGE:
            raise
        return f"its manifest {manifest.name} cannot be read"
    return None


def _files(step_dir: Path) -> list[str]:
    """Names of all files of a step, except those that an atomic write left unfinished."""

    def refuse(error: OSError) -> None:  # which would make its files look as if they were gone
        if error.errno in NO_DAMAGE:
            raise error

    paths = sorted(Path(folder, name) for folder, _, names in os.walk(step_dir, onerror=refuse) for name in names)
    return [str(path.relative_to(step_dir)) for path in paths if path.is_file() and not path.name.startswith(f".{FACTS_FILE.name}.")]


def _entry(path: Path) -> dict:
    return {"size": path.stat().st_size, "sha256": sha256(path)}
