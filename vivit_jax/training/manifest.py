"""SHA-256 manifests of checkpoints. Orbax restores a flipped bit as a wrong number without a word; a manifest refuses it.

A step is whole when its manifest is there: it is written last, and removed first.
"""

import json
from pathlib import Path

from vivit_jax.files import sha256, write_atomically


def manifest_path(step_dir: Path) -> Path:
    """`checkpoints/200.sha256.json` for `checkpoints/200`."""
    return step_dir.with_name(f"{step_dir.name}.sha256.json")


def write_manifest(step_dir: Path) -> None:
    """Writes the size and SHA-256 of every file of a step, atomically."""
    entries = {str(path.relative_to(step_dir)): _entry(path) for path in sorted(step_dir.rglob("*")) if path.is_file()}
    write_atomically(manifest_path(step_dir), json.dumps(entries, indent=1))


def damage(step_dir: Path) -> str | None:
    """What is wrong with a step by its manifest, or None where every file is as it was written."""
    try:
        entries = json.loads(manifest_path(step_dir).read_text())
        for name, entry in entries.items():
            path = step_dir / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["size"]:
                return f"{name} has {path.stat().st_size} bytes in place of {entry['size']}"
            if _entry(path) != entry:
                return f"{name} differs from its SHA-256"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"its manifest {manifest_path(step_dir).name} cannot be read"
    return None


def _entry(path: Path) -> dict:
    return {"size": path.stat().st_size, "sha256": sha256(path)}
