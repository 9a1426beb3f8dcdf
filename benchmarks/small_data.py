"""How was the recipe of `configs/small_data.py` chosen, and what does it give beside a probe? The figures of docs/small_data.md.

A *task* is a small set with a split to train on, one to choose the epoch on and one to score. None of those that choose a recipe sees the
test split of drone_ir:

- `folds`: drone_ir's four classes, `train+val` in four folds of whole blocks of flights (about 530 clips to train on);
- `pairs`: drone against bird, 150 clips or a few more of train+val drawn by blocks, 24 or more to choose the epoch on, the rest to score;
- `motion`: 160 clips of motion_digits, where no single frame tells the class;
- `volumes`: 200 volumes of AdrenalMNIST3D, which look like no photograph.

  python benchmarks/small_data.py prepare --crops drone_ir_crops --volumes adrenalmnist3d.npz --data_dir data
  python benchmarks/small_data.py run --data_dir data --workdir runs/small_data --source vits14_google_layout_fp16.npz --jobs 16 --gpus 0,1

`run --final` makes the runs that the choice is judged by: `drone_ir`, trained on train and scored on test, and `blocks`, ten sets like
`pairs`, drawn from all blocks. A run that is finished is not made again.
"""

import argparse
import csv
import dataclasses
import itertools
import json
import os
import pathlib
import random
import sys
from collections.abc import Mapping
from typing import Any

import jobs
import numpy as np
from script import add_json, make_parser, write_json
from subprocesses import ROOT, TRAIN, VIVIT

from vivit_jax.runs.folds import FoldPlan

CONFIG = f"{ROOT}/configs/small_data.py:S/14"
PROBE = "probe"
FRAMES = {"model.factorisation": "factorised_encoder", "model.temporal_layers": 0}  # of which the average is taken
RECIPES: dict[str, dict[str, Any]] = {
    "Model 3, 1e-4": {},
    "Model 3, 3e-4": {"optimizer.learning_rate": 3e-4},
    "Model 3, 3e-4, nearer": {"optimizer.learning_rate": 3e-4, "training.ema_percent": 150.0},
    "Model 3, 1e-4, mixup": {"training.mixup": 0.8},
    "frames, 3e-5": FRAMES | {"optimizer.learning_rate": 3e-5},
    "frames, 1e-4": FRAMES,
    "frames, 3e-4": FRAMES | {"optimizer.learning_rate": 3e-4},
    "frames, 1e-4, mixup": FRAMES | {"training.mixup": 0.8},
    "frames, 1e-4, fresh head": FRAMES | {"init.head": "fresh"},
}
DRAWN_CLIPS, CHOOSING_CLIPS = 150, 24
CROPS = {"model.clip": "(16,98,98)", "data.resize": 112, "data.cache_gigabytes": 1.0}
DRONES = CROPS | {"data.stride": 4}


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set, and a part of it to train on, by which a recipe is judged.

    Attributes:
      name: a name of its own.
      kind: the kind of task; scores are averaged over a kind.
      keys: values of keys of the config.
      both: the split that joins the training clips and those that choose the epoch.
      score: the name of the score that counts.
    """

    name: str
    kind: str
    keys: Mapping[str, Any]
    both: str = "train+val"
    score: str = "top1"


def splits(train: str, val: str, test: str) -> dict[str, str]:
    """The three splits as keys of the config."""
    return {"data.train_split": train, "data.val_split": val, "data.test_split": test}


def tasks_to_choose_by() -> list[Task]:
    """The tasks by which a recipe is chosen, which see nothing of drone_ir's test split."""
    plan = FoldPlan(4, validate=True)
    found = []
    for number in range(1, 5):
        of_fold = {f"data.{key}": value.replace("all@", "train+val@") for key, value in plan.splits(number).items()}
        found.append(Task(f"folds {number}", "folds", DRONES | {"data.name": "drone_ir"} | of_fold, f"train+val@not{number}of4"))
    found += [Task(f"pairs {number}", "pairs", DRONES | {"data.name": f"pairs_{number}"}) for number in range(4)]
    for number in range(2):
        first = 160 * number
        of_digits = splits(f"train[{first}:{first + 160}]", "val[:40]", "val[40:440]")
        keys = CROPS | {"data.name": "motion_digits", "augment.flip": 0.0} | of_digits
        found.append(Task(f"motion {number}", "motion", keys, f"train[{first}:{first + 160}]+val[:40]"))
        of_volumes = splits(f"train[{200 * number}:{200 * number + 200}]", "val[:40]", "train[400:900]")
        keys = CROPS | {"data.name": "adrenalmnist3d", "data.stride": 1, "augment.flip_vertical": 0.5}
        found.append(Task(f"volumes {number}", "volumes", keys | of_volumes, f"train[{200 * number}:{200 * number + 200}]+val[:40]", "auc"))
    return found


def final_tasks() -> list[Task]:
    """The tasks by which the choice is judged."""
    drone_ir = Task("drone_ir", "drone_ir", DRONES | {"data.name": "drone_ir"})
    return [drone_ir, *(Task(f"blocks {number}", "blocks", DRONES | {"data.name": f"blocks_{number}"}) for number in range(10))]


def prepare(arguments: argparse.Namespace) -> None:
    """Makes the data sets that are not there yet."""
    jobs_of_sets, lists = [], arguments.data_dir / "lists"
    lists.mkdir(parents=True, exist_ok=True)
    index = arguments.crops / "index.csv"
    rows = list(csv.DictReader(index.open()))

    def add(name: str, *layout: str) -> None:
        workers = ("--workers", str(max(1, (os.cpu_count() or 1) // arguments.jobs)))
        command = (*VIVIT, "prepare", *layout, "--name", name, "--data_dir", str(arguments.data_dir), *workers)
        if not (arguments.data_dir / name).exists():
            jobs_of_sets.append(jobs.Job(name, lists / name, (command,)))

    add("drone_ir", "csv", str(index), "--group", "block")
    add("adrenalmnist3d", "medmnist3d", str(arguments.volumes))
    add("motion_digits", "motion_digits")
    for name, some, number in (
        *((f"pairs_{number}", [row for row in rows if row["split"] != "test"], number) for number in range(4)),
        *((f"blocks_{number}", rows, number) for number in range(10)),
    ):
        path = lists / f"{name}.csv"
        write_pairs(path, some, number, arguments.crops)
        add(name, "csv", str(path), "--group", "block")
    jobs.run_all(jobs_of_sets, arguments.jobs)


def write_pairs(path: pathlib.Path, rows: list[dict[str, str]], seed: int, crops: pathlib.Path) -> None:
    """Drones and birds in random blocks: the first blocks to train on, the next to choose the epoch on, the others to test on.

    Each part is filled until it has its number of clips and both classes.
    """
    rows = [row for row in rows if row["label"] in ("drone", "bird")]
    blocks = sorted({row["block"] for row in rows}, key=int)
    random.Random(seed).shuffle(blocks)
    both = next(block for block in blocks if len({row["label"] for row in rows if row["block"] == block}) == 2)
    blocks.sort(key=lambda block: block != both)  # or a run of blocks without birds might all go into the first part
    parts: dict[str, list] = {"val": [], "train": [], "test": []}
    wanted = {"val": CHOOSING_CLIPS, "train": DRAWN_CLIPS - CHOOSING_CLIPS, "test": len(rows)}
    part = iter(parts)
    filling = next(part)
    for block in blocks:
        parts[filling] += [row for row in rows if row["block"] == block]
        if len(parts[filling]) >= wanted[filling] and len({row["label"] for row in parts[filling]}) == 2:
            filling = next(part)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("path", "label", "block", "split"))
        writer.writeheader()
        for name, of_part in parts.items():
            for row in of_part:
                writer.writerow({"path": crops.resolve() / row["file"], "label": row["label"], "block": row["block"], "split": name})


def workdir(arguments: argparse.Namespace, recipe: str, task: Task, seed: int) -> pathlib.Path:
    """The work directory of a run."""
    return arguments.workdir / recipe.replace(" ", "_").replace(",", "") / task.name.replace(" ", "_") / str(seed)


def job(arguments: argparse.Namespace, recipe: str, task: Task, seed: int) -> jobs.Job:
    """A run of a recipe, or a probe, which has no seed."""
    where = workdir(arguments, recipe, task, seed)
    commands = probing(arguments, task, where) if recipe == PROBE else (training(arguments, recipe, task, seed, where),)
    return jobs.Job(f"{recipe}, {task.name}, seed {seed}", where, commands)


def training(arguments: argparse.Namespace, recipe: str, task: Task, seed: int, where: pathlib.Path) -> tuple[str, ...]:
    """The command of a run; keys of the recipe win over those of the task."""
    keys = {
        "data.data_dir": arguments.data_dir,
        "init.source": arguments.source,
        "init.activation": "gelu",  # which Google's layout does not say, nor the next two
        "init.mean": "(0.485,0.456,0.406)",
        "init.std": "(0.229,0.224,0.225)",
        "data.readers": 4,
        "training.tensorboard": False,
        "checkpoint.every_percent": 100,
        "seed": seed,
        **task.keys,
        **RECIPES[recipe],
        "data.train_split": task.both,
        "data.val_split": None,
    }
    return (*TRAIN, f"--config={CONFIG}", f"--workdir={where}", *(f"--config.{key}={value}" for key, value in keys.items()))


def probing(arguments: argparse.Namespace, task: Task, where: pathlib.Path) -> tuple[tuple[str, ...], ...]:
    """The commands of `vivit probe` on the image model, frame by frame, and of its test."""
    keys = {f"data.{part}_split": part for part in ("train", "val", "test")} | dict(task.keys)
    frames, probed, data = where / "frames", where / "probe", ("--name", keys["data.name"], "--data_dir", str(arguments.data_dir))
    source = ("--activation", "gelu", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--position_resize", "cubic")
    model = ("--factorisation", "factorised_encoder", "--temporal_layers", "0", "--tokenizer", "frames", "--tubelet", "1,14,14")
    stride = 2 * keys.get("data.stride", 2)
    clip = ("--clip", "8,98,98", "--stride", str(stride), "--resize", str(keys["data.resize"]))
    fitted = ("--train_split", keys["data.train_split"], "--val_split", keys["data.val_split"])
    tested = ("--split", keys["data.test_split"], "--views", "4x3", "--out", str(where / jobs.SCORES))
    return (
        (*VIVIT, "convert", str(arguments.source), "--to", str(frames), *source, *model, *clip),
        (*VIVIT, "probe", "--model", str(frames), "--to", str(probed), *data, *fitted),
        (*VIVIT, "evaluate", "--model", str(probed), *data, *tested),
    )


def run(arguments: argparse.Namespace) -> None:
    """Makes the runs and prints the table."""
    tasks = final_tasks() if arguments.final else tasks_to_choose_by()
    tasks = [task for task in tasks if not arguments.kinds or task.kind in arguments.kinds]
    recipes = arguments.recipes or [PROBE, *RECIPES]
    cells = itertools.product(range(arguments.seeds), recipes, tasks)
    wanted = [job(arguments, recipe, task, seed) for seed, recipe, task in cells if not (recipe == PROBE and seed)]
    if arguments.jobs:
        jobs.run_all(wanted, arguments.jobs, arguments.gpus, arguments.seconds)
    rows = collect(arguments, recipes, tasks)
    write_json(arguments.json, rows)
    print(table(rows))
    if not arguments.final and (recipe := chosen(rows)):
        print(f"chosen: {recipe}")


def collect(arguments: argparse.Namespace, recipes: list[str], tasks: list[Task]) -> list[dict[str, Any]]:
    """The score of each run that is finished."""
    rows = []
    for recipe, task, seed in itertools.product(recipes, tasks, range(arguments.seeds)):
        path = workdir(arguments, recipe, task, seed) / jobs.SCORES
        if path.exists():
            scores = json.loads(path.read_text())
            row = {"recipe": recipe, "task": task.name, "kind": task.kind, "seed": seed, "score": scores[task.score]}
            rows.append(row | {"of": task.score, "examples": scores["examples"]})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """For each recipe and kind of task the mean over runs and, behind it, the standard deviation over seeds or tasks."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    lines = [f"| recipe | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        cells = []
        for kind in kinds:
            scores = [row["score"] for row in rows if (row["recipe"], row["kind"]) == (recipe, kind)]
            spread = f" ± {np.std(scores, ddof=1):.3f}" if len(scores) > 1 else ""
            cells.append(f"{np.mean(scores):.3f}{spread} ({len(scores)})" if scores else "")
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return "\n".join(lines)


def chosen(rows: list[dict[str, Any]]) -> str | None:
    """The recipe to take: the best, in the mean over kinds of its gain over the probe, of those that no kind's mean puts below the probe.

    If every recipe is below somewhere, the one that is least.
    """
    probe = {row["task"]: row["score"] for row in rows if row["recipe"] == PROBE}
    kinds, found = {row["task"]: row["kind"] for row in rows}, {}
    for recipe in dict.fromkeys(row["recipe"] for row in rows if row["recipe"] != PROBE):
        scores = {row["task"]: row["score"] for row in rows if (row["recipe"], row["seed"]) == (recipe, 0)}
        if scores.keys() == probe.keys() == kinds.keys():  # else not all of its runs are there
            gains = {kind: [scores[task] - probe[task] for task in kinds if kinds[task] == kind] for kind in kinds.values()}
            means = [float(np.mean(of_kind)) for of_kind in gains.values()]
            found[recipe] = (min(0.0, *means), float(np.mean(means)))
    return max(found, key=found.get, default=None)


def main() -> int:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True)
    sets = commands.add_parser("prepare", help="make the data sets")
    sets.set_defaults(does=prepare)
    sets.add_argument("--crops", type=pathlib.Path, required=True, help="the folder of drone_ir's clips and index.csv")
    sets.add_argument("--volumes", type=pathlib.Path, required=True, help="adrenalmnist3d.npz")
    runs = commands.add_parser("run", help="make the runs, and print a table")
    runs.set_defaults(does=run)
    runs.add_argument("--workdir", type=pathlib.Path, required=True, help="where the runs lie")
    runs.add_argument("--source", type=pathlib.Path, required=True, help="the ViT-S/14's weights")
    runs.add_argument("--final", action="store_true", help="the runs that the choice is judged by")
    runs.add_argument("--recipes", nargs="+", choices=(PROBE, *RECIPES), metavar="NAME", help=f"of {', '.join((PROBE, *RECIPES))}")
    runs.add_argument("--kinds", nargs="+", metavar="NAME", help="the kinds of tasks")
    runs.add_argument("--seeds", type=int, default=1, help="runs of each (default 1)")
    runs.add_argument("--gpus", type=lambda text: text.split(","), default=[], metavar="N,...", help="GPUs to spread them over")
    runs.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after this time")
    add_json(runs)
    for command in (sets, runs):
        command.add_argument("--data_dir", type=pathlib.Path, required=True, help="where the prepared data sets lie")
        command.add_argument("--jobs", type=int, default=1, help="how many go side by side; 0 only makes the table (default 1)")
    arguments = parser.parse_args()
    arguments.does(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
