"""A finished or running experiment, read back from its work directory."""

import dataclasses
import json
import pathlib

from vivit_jax.config import Experiment, resolve
from vivit_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Run:
    """What a work directory tells.

    Attributes:
      path: the directory.
      experiment: its configuration.
      surroundings: versions, devices and git revision it ran with.
    """

    path: pathlib.Path
    experiment: Experiment
    surroundings: dict

    @property
    def model(self) -> pathlib.Path:
        """The model directory to use."""
        return self.path / "model"

    def metrics(self) -> list[dict]:
        """The rows of `metrics.jsonl`, in order; a last row that is half written is left out."""
        path = self.path / "metrics.jsonl"
        rows = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    def evaluation(self) -> dict | None:
        """`evaluation.json`, or None before there is one."""
        path = self.path / "evaluation.json"
        return json.loads(path.read_text()) if path.exists() else None


def open_run(path: str | pathlib.Path) -> Run:
    """Reads a work directory.

    Raises:
      UserError: if it is none.
    """
    path = pathlib.Path(path)
    try:
        recorded = json.loads((path / "config.json").read_text())
        config = recorded.pop("config")
    except (OSError, ValueError, KeyError, AttributeError):
        raise UserError(f"{path} is not the work directory of a run: it has no config.json with a `config`") from None
    return Run(path, resolve(config), recorded)
