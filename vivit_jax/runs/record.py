"""Reads a finished or running experiment from its work directory, and checks everything, as anyone may have written there."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from vivit_jax import console, places
from vivit_jax.config import Experiment, resolve
from vivit_jax.errors import UserError
from vivit_jax.files import SEAL, read_bytes, read_json, seal_holds
from vivit_jax.models.families import ModelConfig, family_of

METRICS, EVALUATION, REPORT = "metrics.jsonl", "evaluation.json", "report.html"  # files of a work directory

LARGEST_STEP = 2**53  # in a row of metrics: a figure's axis cannot show larger ones
ROUNDING = 1e-9  # by which a share, such as a mean of precisions, may exceed one
LARGEST_NUMBER = 1e30  # as a score or a metric: a figure cannot show larger ones


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run as its work directory describes it.

    Attributes:
      path: the directory.
      experiment: its configuration.
      config: the configuration as it is written in `config.json`.
      surroundings: versions, devices and git revision of the run.
    """

    path: pathlib.Path
    experiment: Experiment
    config: dict
    surroundings: dict

    @property
    def model(self) -> pathlib.Path:
        """The model directory to use."""
        return self.path / "model"

    def metrics(self) -> list[dict]:
        """The rows of `metrics.jsonl`, in order. Lines that are no rows of metrics are left out, with a warning that counts them."""
        path = self.path / METRICS
        try:
            lines = [line for line in read_bytes(path).split(b"\n") if line.strip()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        rows = [_row(line) for line in lines]
        kept = [row for row in rows if row is not None]
        if len(kept) < len(rows):
            console.warn(
                f"{path}: {len(rows) - len(kept)} of {len(rows)} rows are not metrics (cut off, or from elsewhere) and are left out"
            )
        return kept

    def evaluation(self) -> dict | None:
        """The run's own test result, `evaluation.json`, or None before there is one.

        Raises:
          UserError: if the file is not an evaluation.
        """
        path = self.path / EVALUATION
        return read_evaluation(path) if path.exists() else None

    def explorations(self) -> dict[str, dict]:
        """Every other evaluation of the run, by file name; those that cannot be read are left out with a warning."""
        found = {}
        for path in sorted(self.path.glob("evaluation-*.json")):
            try:
                found[path.name] = read_evaluation(path)
            except UserError as error:
                console.warn(f"{error}; it is left out")
        return found


def open_run(path: str | pathlib.Path) -> RunRecord:
    """Reads a work directory; warns if its config.json is not as the run wrote it.

    Raises:
      UserError: if it is not the work directory of a run.
    """
    path = pathlib.Path(path)
    recorded = read_config(path)
    warn_of_changes(recorded, path / "config.json", "the training command compares it with its own, and writes it anew")
    surroundings = {key: value for key, value in recorded.items() if key not in ("config", SEAL)}
    return RunRecord(path, experiment_of(path), recorded["config"], surroundings)


def experiment_of(path: pathlib.Path) -> Experiment:
    """The configuration of the run in a work directory; UserError if it is none."""
    config = read_config(path)["config"]
    try:
        return resolve(config)
    except (ValueError, TypeError, ArithmeticError) as error:  # such as for a missing section, or an absurd number
        raise UserError(f"{path / 'config.json'} describes a run that this version cannot read: {error}") from None


def read_config(path: pathlib.Path) -> dict:
    """The contents of a work directory's config.json, as written: its `config`, and the run's versions, devices and git revision.

    Raises:
      UserError: if it is not the work directory of a run.
    """
    try:
        recorded = read_json(path / "config.json")
        _ = recorded["config"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        if not path.exists():
            raise UserError(f"{path} does not exist") from None
        what = places.described(path) or "it has no config.json with a `config`"
        raise UserError(f"{path} is not the work directory of a run: {what}") from None
    return recorded


def warn_of_changes(values: dict, path: pathlib.Path, remedy: str) -> None:
    """Warns if a file's values are not those that were written."""
    if not seal_holds(values):
        console.warn(f"{path} has changed since it was written: it is damaged, or was edited by hand; {remedy}")


def description(model: ModelConfig) -> str:
    """A model in a few words, with its clip."""
    return f"{family_of(model).describe(model)}, clips of {' x '.join(map(str, model.clip))}"


def views_in_words(evaluation: Mapping) -> str:
    """The views of an evaluation, such as `4x3`; `?` stands for a number that its file does not tell."""
    return f"{evaluation.get('temporal_views', '?')}x{evaluation.get('spatial_views', '?')}"


def step_of(pretrained: Any) -> int | None:
    """The training step of a model, by its provenance; None if that does not tell."""
    step = (getattr(pretrained, "provenance", None) or {}).get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def _row(line: bytes) -> dict | None:
    """A row of metrics: an object with a `step`, and numbers or null."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not _is_count(row.get("step")) or row["step"] > LARGEST_STEP:
        return None
    return row if all(value is None or _is_number(value) for value in row.values()) else None


def read_evaluation(path: pathlib.Path) -> dict:
    """Reads a file that `vivit evaluate` wrote; warns if it was changed since.

    Raises:
      UserError: if it is anything else.
    """
    try:
        value = read_json(path)
    except (OSError, ValueError):
        value = None
    if not (isinstance(value, dict) and _is_evaluation(value)):
        raise UserError(f"{path} is not what `vivit evaluate` writes: it was damaged or changed; move it away, and evaluate again")
    warn_of_changes(value, path, "evaluate again to be sure of its scores")
    return value


def _is_evaluation(value: dict) -> bool:
    heads = value.get("heads", {"": value})
    return (
        isinstance(value.get("split"), str)
        and isinstance(value.get("name", ""), str)
        and all(_is_count(value.get(key)) for key in ("views", "examples", "hits"))
        and all(_is_share(value.get(key)) for key in ("top1", "top5"))
        and math.isclose(value["top1"] * value["examples"], value["hits"], abs_tol=0.01)
        and _is_number(value.get("loss"))
        and _is_share_or_none(value.get("mAP"))
        and (value.get("step") is None or (_is_count(value["step"]) and value["step"] <= LARGEST_STEP))
        and isinstance(heads, dict)
        and bool(heads)
        and all(isinstance(scores, dict) and _are_scores(scores) for scores in heads.values())
        and _are_predictions(value.get("predictions", []), [*heads])
    )


def _are_scores(scores: dict) -> bool:
    rows, confusion = scores.get("per_class"), scores.get("confusion")
    if not isinstance(rows, dict) or not all(isinstance(row, dict) and _is_count(row.get("examples")) for row in rows.values()):
        return False
    if not all(_is_share_or_none(scores.get(key)) for key in ("top1", "top5", "mean_class", "auc")):
        return False
    if not all(_is_share_or_none(row.get(key)) for row in rows.values() for key in ("top1", "average_precision")):
        return False
    if any("top1" in row and row["top1"] is None and row["examples"] for row in rows.values()):
        return False
    return confusion is None or (
        isinstance(confusion, list)
        and len(confusion) == len(rows) > 0
        and all(isinstance(row, list) and len(row) == len(rows) and all(map(_is_count, row)) for row in confusion)
    )


def _are_predictions(rows: object, heads: list[str]) -> bool:
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_count(row.get("index")) for row in rows):
        return False
    if heads != [""]:
        return True  # its parts are looked at where they are shown
    return all(_is_number(row.get("probability")) and _is_class(row.get("prediction")) and _are_classes(row.get("label")) for row in rows)


def _are_classes(label: object) -> bool:
    return all(map(_is_class, label)) if isinstance(label, list) else _is_class(label)


def _is_class(value: object) -> bool:
    """Whether a value is a class: a name, or a number as earlier versions wrote."""
    return isinstance(value, str) or _is_count(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    """Whether a value is a number that can be drawn, or NaN or infinity, which Python's JSON reads."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < LARGEST_NUMBER or (isinstance(value, float) and not math.isfinite(value))


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1 + ROUNDING


def _is_share_or_none(value: object) -> bool:
    return value is None or _is_share(value)
