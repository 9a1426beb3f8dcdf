"""Finds what is compared by its path: a run, a model or an evaluation."""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping, Sequence

from vivit_jax import places
from vivit_jax.console import warn
from vivit_jax.data.splits import canonical
from vivit_jax.errors import UserError, printable
from vivit_jax.files import real_path
from vivit_jax.inference.scores import heads_of
from vivit_jax.models.families import ModelConfig
from vivit_jax.preprocess import Views
from vivit_jax.runs.record import EVALUATION, METRICS, RunRecord, experiment_of, open_run, read_evaluation, views_in_words
from vivit_jax.weights.model_dir import model_config_of
from vivit_jax.weights.model_json import CONFIG, LOGITS, is_model_dir


@dataclasses.dataclass(frozen=True)
class Contender:
    """A run, a model or an evaluation that is compared with others.

    Attributes:
      name: its name, which no other has.
      path: its path, as given.
      evaluation: the contents of its `evaluation.json`.
      file: the path of that file.
      model: the network; None if there are only scores.
      run: the training run; None if there is only a model, or only scores.
    """

    name: str
    path: pathlib.Path
    evaluation: Mapping
    file: pathlib.Path
    model: ModelConfig | None
    run: RunRecord | None

    @property
    def heads(self) -> list[str]:
        """The names of its heads; a single one has the empty name."""
        return list(heads_of(self.evaluation))

    @property
    def views(self) -> tuple[int, int] | None:
        """(temporal, spatial) views of each video; None if the evaluation does not say."""
        views = self.evaluation.get("temporal_views"), self.evaluation.get("spatial_views")
        return views if all(isinstance(count, int) and count > 0 for count in views) else None

    @property
    def seen(self) -> str | None:
        """How each video was seen, such as `4x3 views, mirrored too, their probabilities averaged`; None if the evaluation does not say."""
        if self.views is None:
            return None
        mirrored = ", mirrored too" if self.evaluation.get("flip") else ""
        average = self.evaluation.get("average", LOGITS)
        return f"{self.views[0]}x{self.views[1]} views{mirrored}{f', their {average} averaged' if average != LOGITS else ''}"

    @property
    def views_of_a_video(self) -> int:
        """How often its network runs for one video."""
        return self.evaluation["views"]


def open_contenders(paths: Sequence[pathlib.Path], split: str | None = None, views: Views | None = None) -> list[Contender]:
    """Finds what is compared.

    Args:
      paths: each a work directory, a model directory (with an evaluation, or in a run that has one), an evaluation file, or a folder with
        an evaluation.json.
      split: use the evaluation on this split; None is the run's own test.
      views: use the evaluation with these views; None is the run's own test, or the only one of the split.

    Raises:
      UserError: for a path that is none of these, or that has no such evaluation.
    """
    names = unique_names(paths)
    if again := sorted({str(path) for path in paths if [real_path(other) for other in paths].count(real_path(path)) > 1}):
        warn(f"{again[0]} is given twice, and compared with itself")
    data = next((_data_of(path, split, views) for path in paths if places.kind_of(path) == places.RUN), "--name NAME --data_dir DIR")
    return [_open(path, name, split, views, data) for path, name in zip(paths, names, strict=True)]


def _data_of(path: pathlib.Path, split: str | None, views: Views | None) -> str:
    """The options of `vivit evaluate` that score a model as a run was tested."""
    experiment = experiment_of(path)
    data, (temporal, spatial) = experiment.data, views or experiment.evaluation.test_views
    options = ["--name", data.name, *(["--data_dir", data.data_dir] if data.data_dir else [])]
    return shlex.join([*options, "--split", split or data.test_split or "test", "--views", f"{temporal}x{spatial}"])


def unique_names(paths: Sequence[pathlib.Path]) -> list[str]:
    """A name for each path: its last distinctive part, with as many parts before it as distinguish it from the others."""
    parts = [_distinctive_parts(path) for path in paths]
    taken = [1] * len(parts)
    while clash := [i for i, count in enumerate(taken) if count < len(parts[i]) and _clashes(parts, taken, i)]:
        for i in clash:
            taken[i] += 1
    names: list[str] = []
    for of_path, count in zip(parts, taken, strict=True):
        name = printable("/".join(of_path[-count:]))
        number = next(n for n in range(1, len(parts) + 1) if _numbered(name, n) not in names)
        names.append(_numbered(name, number))
    return names


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} ({number})"


def _clashes(parts: Sequence[tuple[str, ...]], taken: Sequence[int], i: int) -> bool:
    own = parts[i][-taken[i] :]
    return any(other[-count:] == own for j, (other, count) in enumerate(zip(parts, taken, strict=True)) if j != i and other != parts[i])


def _distinctive_parts(path: pathlib.Path) -> tuple[str, ...]:
    """The parts of a path without those that are called the same in every run."""
    parts = list(real_path(path).parts[1:])
    if parts and parts[-1] == EVALUATION:
        parts.pop()
    elif parts and parts[-1].endswith(".json"):
        parts[-1] = parts[-1].removesuffix(".json")
    if len(parts) > 1 and parts[-1] == "model":
        parts.pop()
    return tuple(parts) or (str(path),)


def _open(path: pathlib.Path, name: str, split: str | None, views: Views | None, data: str) -> Contender:
    if path.is_file():
        return _of_file(path, name, split, views)
    if not path.is_dir():
        raise UserError(f"{path}: no such run, model directory or evaluation file")
    if places.kind_of(path) == places.RUN:
        return _of_run(path, name, split, views)
    if is_model_dir(path):
        return _of_model(path, name, split, views, data)
    if (path / EVALUATION).is_file():
        if (path / METRICS).exists():
            warn(f"{path} has metrics.jsonl, but no {CONFIG} of a run: its network and what it costs are not known")
        return _of_file(path / EVALUATION, name, split, views)
    what = places.described(path) or "`vivit evaluate` writes one"
    raise UserError(f"{path} is neither a run nor a model directory, and holds no {EVALUATION}: {what}")


def _of_run(path: pathlib.Path, name: str, split: str | None, views: Views | None) -> Contender:
    run = open_run(path)
    own = run.evaluation()
    found = ({EVALUATION: own} if own else {}) | (run.explorations() if split or views else {})
    if not found:
        raise UserError(f"{path} has not been tested: `vivit evaluate --workdir {path}` writes its {EVALUATION}")
    file = _chosen(path, found, split, views, f"vivit evaluate --workdir {path} {_options(split, views)}")
    model = run.experiment.model
    return Contender(name, path, found[file], path / file, model if model.num_classes is not None else _model_in(run.model), run)


def _of_model(path: pathlib.Path, name: str, split: str | None, views: Views | None, data: str) -> Contender:
    """A model with evaluations in its own folder; or without any, a run's `model/`, which has the run's evaluations.

    `data` are the options for the data set, in a command that writes one.
    """
    found = {file.name: read_evaluation(file) for file in sorted(path.glob("evaluation*.json"))}
    if not found and places.kind_of(path.parent) == places.RUN and path.name == "model":
        return dataclasses.replace(_of_run(path.parent, name, split, views), path=path)
    other = "-".join(["evaluation", *([split] if split else []), *([f"{views[0]}x{views[1]}"] if views else [])])
    out = path / (f"{other}.json" if found else EVALUATION)
    command = f"vivit evaluate --model {shlex.quote(str(path))} {data} --out {shlex.quote(str(out))}"
    if not found:
        raise UserError(f"{path} holds no evaluation: `{command}` writes one")
    file = _chosen(path, found, split, views, command)
    return Contender(name, path, found[file], path / file, model_config_of(path), None)


def _of_file(path: pathlib.Path, name: str, split: str | None, views: Views | None) -> Contender:
    """An evaluation by itself; a run or model in its folder tells which model it scored."""
    evaluation = read_evaluation(path)
    _chosen(path.parent, {path.name: evaluation}, split, views, f"vivit evaluate {_options(split, views)}")
    folder = path.parent
    if places.kind_of(folder) == places.RUN:
        run = open_run(folder)
        return Contender(name, path, evaluation, path, _model_in(run.model) or run.experiment.model, run)
    return Contender(name, path, evaluation, path, _model_in(folder), None)


def _model_in(folder: pathlib.Path) -> ModelConfig | None:
    return model_config_of(folder) if is_model_dir(folder) else None


def _chosen(path: pathlib.Path, found: Mapping[str, Mapping], split: str | None, views: Views | None, command: str) -> str:
    """The file with this split and these views: preferably the run's own test, else the one with the shortest name."""

    def fits(evaluation: Mapping) -> bool:
        of_split = split is None or canonical(evaluation["split"]) == canonical(split)
        return of_split and (views is None or (evaluation.get("temporal_views"), evaluation.get("spatial_views")) == tuple(views))

    fitting = [file for file, evaluation in found.items() if fits(evaluation)]
    if not fitting:
        there = ", ".join(f"{evaluation['split']} {views_in_words(evaluation)}" for evaluation in found.values())
        raise UserError(f"{path} has no evaluation of {_options(split, views)} (there: {there}): `{command}` makes it")
    shortest = min(len(file.split("-")) for file in fitting)
    plain = [file for file in fitting if len(file.split("-")) == shortest]
    if EVALUATION not in fitting and len(plain) > 1:
        raise UserError(f"{path} has several such evaluations ({', '.join(plain)}): name its views with --views, or give the file")
    return EVALUATION if EVALUATION in fitting else plain[0]


def _options(split: str | None, views: Views | None) -> str:
    return " ".join([*([f"--split {split}"] if split else []), *([f"--views {views[0]}x{views[1]}"] if views else [])])
