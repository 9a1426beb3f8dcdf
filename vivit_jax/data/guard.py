"""Reads videos of unknown origin in worker processes, each with a limit of time and of memory.

A file made for it can hang FFmpeg or exhaust its memory. That costs one worker process here, and a one-line error for the video.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from vivit_jax.data.video.container import LIMITS, Limits
from vivit_jax.data.workers import Failure, Streams, available_cpus, map_in_order
from vivit_jax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE_SECONDS = 60  # beyond the limit that reading itself observes
SECONDS_A_PART = 120.0  # the longest that one part of a long video may take; a decoder that takes longer hangs


def guarded(function: Callable[[Item], Result], item: Item, *, limits: Limits = LIMITS) -> Result:
    """`function(item)`, computed in a worker process.

    Args:
      function: a module's function, or a partial of one, that reads a video; it, the item and the result are pickled.
      item: usually a video's path.
      limits: what it may cost.

    Raises:
      UserError: saying in one line why there is no result.
    """
    ((_, result),) = guarded_map(function, [item], workers=1, limits=limits)
    if isinstance(result, UserError):
        raise result
    return result


def guarded_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None, limits: Limits = LIMITS
) -> Iterator[tuple[Item, Result | UserError]]:
    """Applies a function that reads videos to each item, in worker processes.

    Args:
      function: a module's function, or a partial of one; it, the items and the results are pickled. It raises `UserError` for a bad file.
      items: what to apply it to; drawn as needed.
      workers: processes; None is one a CPU. One process reads many items, and a new one takes the place of one that was ended.
      limits: what one item may cost; a process that takes more time or memory is ended.

    Yields:
      Each item with its result, or with the error that says in one line why there is none, in the order of `items`.
    """
    workers = available_cpus() if workers is None else workers
    seconds = limits.seconds + GRACE_SECONDS
    for item, result in map_in_order(function, items, workers=workers, seconds=seconds, memory=limits.memory):
        yield item, _named(item, result) if isinstance(result, Failure) else result


def guarded_streams(function: Callable[[Item], Iterable[Result]], *, standard_input: bool = False, limits: Limits = LIMITS) -> Streams:
    """A worker process that reads long videos part by part, for `guarded_parts`: its time is limited a part, so that no length is too long.

    Args:
      function: a module's function, or a partial of one, that gives the parts of an item; it, the items and the parts are pickled.
      standard_input: whether it reads this process's standard input.
      limits: its `memory` is that of the process.
    """
    return Streams(function, seconds=SECONDS_A_PART, memory=limits.memory, standard_input=standard_input)


def guarded_parts(streams: Streams, item: object, name: str) -> Iterator[object]:
    """The parts of an item, as the worker process of `streams` reads them.

    Raises:
      UserError: beginning with `name`, when one cannot be read; those before it have been given.
    """
    for part in streams.of(item):
        if isinstance(part, Failure):
            raise _named(name, part)
        yield part


def _named(item: object, failure: Failure) -> UserError:
    """The failure as an error that begins with the item's name, once."""
    return UserError(f"{item}: {failure.reason.removeprefix(f'{item}: ')}")
