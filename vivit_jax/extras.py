"""The extras of pyproject.toml: what tells a user how to get the one that is missing."""

from vivit_jax.versions import version_of

PACKAGE = "vivit_jax"


def install(extra: str) -> str:
    """The command that adds an extra to the environment of this process.

    pip finds `vivit_jax` installed, and asks the index for the extra's packages alone. Of a clone that was never installed it would ask the
    index for `vivit_jax` too, where somebody else may have a package of that name.
    """
    if version_of(PACKAGE):
        return f"pip install '{PACKAGE}[{extra}]'"
    return f"pip install '.[{extra}]' in the clone of {PACKAGE}"
