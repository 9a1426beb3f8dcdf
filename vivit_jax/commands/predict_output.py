"""Prints the predictions of `vivit predict` as tables or JSON, or writes them to a file of rows. Failures are named as they happen."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from vivit_jax import console
from vivit_jax.data.times import clock
from vivit_jax.errors import UserError, in_one_line
from vivit_jax.heads import by_head
from vivit_jax.inference.predict import Outcome, Prediction, plain, ranked
from vivit_jax.inference.row_files import RowFile
from vivit_jax.inference.rows import RowsOfModel, rounded
from vivit_jax.inference.video_scores import Part


def print_videos(outcomes: Iterable[Outcome], *, total: int, as_json: bool) -> list[str]:
    """Prints a table a video, or one JSON list after a progress bar; returns the errors."""
    failed, told = [], []
    for outcome in console.tracked(outcomes, "videos", total) if as_json else outcomes:
        if outcome.error:
            failed.append(outcome.error)
            _warn(outcome.error, total)
        elif not as_json:
            _print(outcome)
        told.append({"error": outcome.error} if outcome.error else {"predictions": plain(outcome.prediction)})
        told[-1] = {"video": outcome.video, **told[-1]}
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
    return failed


def print_windows(table: RowsOfModel, parts: Iterable[Part], *, total: int, as_json: bool) -> list[str]:
    """Prints each window in a line as soon as it is scored; returns the errors."""
    failed, shown = [], None
    for part in parts:
        failed += _told(part, total)
        if part.error and as_json:
            print(json.dumps({"video": part.video, "error": part.error}, ensure_ascii=False), flush=True)
        for scores in part.scores:
            prediction = ranked(table.pretrained, scores.probabilities, table.top_k)
            if as_json:
                where = {"video": part.video, "start": rounded(scores.start), "end": rounded(scores.end)}
                print(json.dumps({**where, "predictions": plain(prediction)}, ensure_ascii=False), flush=True)
                continue
            if shown != part.video:
                shown = part.video
                console.say(part.video, style="bold")
            console.say(f"{clock(scores.start):>8} - {clock(scores.end):8} {_in_words(prediction)}")
    return failed


def write_rows(
    file: RowFile, table: RowsOfModel, parts: Iterable[Part], first: Mapping[str, int | None], *, total: int, done: int
) -> list[str]:
    """Adds the rows of all parts to a file, under a progress bar, and says how many.

    Args:
      file: the open file that takes the rows.
      table: how scores become rows.
      parts: the parts of videos that are not done.
      first: the number of the first window of a video whose rows are wanted; None for none of them, 0 where it is not named.
      total: the number of all videos.
      done: the number of those whose rows an earlier call wrote.

    Returns:
      The errors.
    """
    failed, count = [], 0
    with console.progress_bar(stderr=True) as bar:
        task = bar.add_task("videos", total=total, completed=done, note="")
        for part in parts:
            begin = first.get(part.video, 0)
            new = [scores for scores in part.scores if begin is not None and scores.number >= begin]
            rows = [row for scores in new for row in table.rows(part.video, scores)]
            file.add(rows)
            count += len(rows)
            if part.is_last:
                file.end(part.video, part.error)
            failed += _told(part, total)
            at = f" at {clock(part.scores[-1].end)}" if part.scores else ""
            bar.update(task, note=f"{console.verbatim(part.video)}{at}")
            bar.advance(task, part.is_last)
    before = f"; {done} of {total} videos were done before" if done else ""
    console.say(f"{count} {'row' if count == 1 else 'rows'} added to {file.path}{before}")
    return failed


def tell_failed(errors: Sequence[str], total: int) -> None:
    """Raises `UserError` if there are errors: the one of a single video, or how many videos failed."""
    if errors:
        raise UserError(errors[0] if total == 1 else f"{len(errors)} of {total} videos could not be classified")


def _told(part: Part, total: int) -> list[str]:
    """Prints a video's remark and its error on standard error; returns the error in a list, which is empty without one."""
    if part.remark:
        print(f"vivit: {in_one_line(f'{part.video}: {part.remark}')}", file=sys.stderr)
    if part.error:
        _warn(part.error, total)
    return [part.error] if part.error else []


def _warn(error: str, total: int) -> None:
    """Names a failure on standard error; that of a single video is how the command ends."""
    if total > 1:
        print(f"vivit: {in_one_line(error)}", file=sys.stderr)


def _in_words(prediction: Prediction) -> str:
    """`97.1% dog, 2.0% cat`; for several heads, each after its name."""
    said = []
    for head, ranking in by_head(prediction).items():
        classes = ", ".join(f"{probability:6.1%} {label}" for label, probability in ranking)
        said.append(f"{head}: {classes}" if head else classes)
    return "; ".join(said)


def _print(outcome: Outcome) -> None:
    console.say(outcome.video, style="bold")
    full = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    table = Table(box=None, show_header=False, padding=(0, 1))
    for head, ranking in by_head(outcome.prediction).items():
        for label, probability in ranking:
            shown = [console.verbatim(head)] if head else []
            table.add_row(*shown, f"{probability:6.1%}", full * round(20 * probability), console.verbatim(label))
    console.show(table)
