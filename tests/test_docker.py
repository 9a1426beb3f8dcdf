"""The Dockerfile without Docker: what it copies is there and is let through, and its lock files hold what pyproject.toml asks for."""

import pathlib
import re
import tomllib

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[1]
LOCKS = ("cpu", "cuda")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_files_hold_what_the_package_needs(lock):
    project = tomllib.loads(read("pyproject.toml"))["project"]
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", read(f"docker/{lock}.lock"), re.MULTILINE))
    extras = project["optional-dependencies"]
    for line in project["dependencies"] + extras["serve"] + (extras["cuda"] if lock == "cuda" else []):
        wanted = Requirement(line)
        version = pinned.get(wanted.name.lower().replace("_", "-"))
        assert version, f"{wanted.name} is not in docker/{lock}.lock: run docker/lock"
        assert wanted.specifier.contains(version, prereleases=True), f"{lock}.lock has {wanted.name} {version}, but {line}: run docker/lock"


def test_what_is_copied_is_there_and_not_ignored():
    let_through = set(re.findall(r"^!(.+)$", read(".dockerignore"), re.MULTILINE))
    copied = re.findall(r"^COPY (\S+) ", read("docker/Dockerfile"), re.MULTILINE)
    assert copied == ["docker/${LOCK}.lock", "."]
    assert all((ROOT / f"docker/{lock}.lock").is_file() for lock in LOCKS)
    project = tomllib.loads(read("pyproject.toml"))["project"]
    needed = {"pyproject.toml", "docker/*.lock", project["name"], project["readme"], *project["license-files"]}
    assert let_through == needed
    assert all((ROOT / name).exists() for name in needed if "*" not in name)
