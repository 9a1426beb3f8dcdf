"""Trainings whose loss is read at every step, which `loss_curve.py` and `loss_bias.py` compare."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

from subprocesses import ROOT

TRAIN = ROOT / "train.py"
CONFIG = ROOT / "configs" / "motion_digits.py"

# Keys of a config's section `model`, by what is compared.
PATHS = {
    "fast": {"dtype": "bfloat16", "attention": "auto"},
    "definition": {"dtype": "bfloat16", "attention": "xla"},
    "plain": {"dtype": "float32", "attention": "xla"},
    "reordered": {"dtype": "float32", "attention": "xla", "remat": True},
}


@dataclasses.dataclass(frozen=True)
class LossRun:
    """One training.

    Attributes:
      config: the config file.
      path: one of `PATHS`. On all but the fast one, products of float32 have full precision, where a GPU would round them to TF32.
      steps: how many steps it takes.
      flags: further flags of `train.py`.
    """

    config: str | os.PathLike
    path: str
    steps: int
    flags: Sequence[str] = ()

    def losses(self, workdir: pathlib.Path, environment: Mapping[str, str] | None = None) -> list[float]:
        """Trains in a new work directory, with these variables added to the environment; returns the loss of each step."""
        command = [sys.executable, TRAIN, f"--config={self.config}", f"--workdir={workdir}", *self.flags]
        command += [f"--config.model.{key}={value}" for key, value in PATHS[self.path].items()]
        command += [f"--config.training.steps={self.steps}", "--config.training.log_every=1", "--config.training.tensorboard=False"]
        command += ["--config.data.val_split=None", "--config.data.test_split=None"]
        precision = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"} if self.path != "fast" else {}
        run = subprocess.run(command, stdout=subprocess.DEVNULL, env=os.environ | precision | dict(environment or {}))
        if run.returncode:
            raise SystemExit(f"train.py ended with {run.returncode} for {workdir.name}")
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        return [row["train/loss"] for row in rows if "train/loss" in row]
