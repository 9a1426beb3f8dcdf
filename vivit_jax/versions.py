"""The installed versions of libraries, for the records of what was made by them."""

from importlib import metadata


def version_of(library: str) -> str | None:
    """The installed version of a library; None where it is not installed."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def versions_of(*libraries: str) -> dict[str, str | None]:
    """The installed versions by library."""
    return {library: version_of(library) for library in libraries}
