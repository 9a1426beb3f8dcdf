"""The extras of pyproject.toml: what tells a user how to get the one that is missing."""

import importlib

from vivit_jax.errors import UserError, in_one_line
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


def check_import(package: str, missing: str) -> None:
    """Imports a package that not everybody has.

    Args:
      package: its name, or that of a module in it.
      missing: the error if it is not installed, with what to do.

    Raises:
      UserError: `missing`, or why it cannot be imported, as with a library that does not fit it, or too little memory for it.
    """
    try:
        importlib.import_module(package)
    except Exception as error:  # a package may raise anything while it is imported
        if isinstance(error, ModuleNotFoundError) and error.name in (package, package.partition(".")[0]):
            raise UserError(missing) from None
        told = f"{type(error).__name__}: {in_one_line(error)}"
        raise UserError(f"the package {package} is installed, but cannot be imported ({told}): install it again") from None
