"""Scores gathered over configs and seeds, from work directories that are finished already."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "drone_ir_ablation.py"
HITS = {"image_weights": {0: 233, 1: 240, 2: 229}, "mixup": {0: 250, 1: 241, 2: 245}}


def ablation(*arguments):
    command = [sys.executable, ROOT / "benchmarks" / "ablation.py", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, cwd=ROOT).stdout


@pytest.fixture
def finished(tmp_path):
    for row, seeds in HITS.items():
        for seed, hits in seeds.items():
            workdir = tmp_path / "runs" / f"drone_ir_ablation_{row}_{seed}"
            workdir.mkdir(parents=True)
            (workdir / "evaluation.json").write_text(
                json.dumps({"top1": hits / 321, "hits": hits, "examples": 321, "views": 12, "loss": 1})
            )
    return tmp_path


def test_finished_runs_are_gathered_and_set_beside_each_other(finished):
    scores, table, plot = finished / "scores.json", finished / "table.md", finished / "plot.svg"
    configs = [f"{CONFIG}:{row}" for row in HITS]
    ablation("--json", scores, "--workdirs", finished / "runs", "--seeds", 0, 1, 2, "--parallel", 2, "--configs", *configs)
    ablation("--json", scores, "--table", table, "--plot", plot)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.read_text().splitlines()[2:]]
    top1 = {row: np.array(list(seeds.values())) / 321 for row, seeds in HITS.items()}
    assert rows == [
        [
            f"drone_ir_ablation_{row}",
            f"{top1[row].mean():.3f}",
            f"{top1[row].std(ddof=1):.3f}",
            "3",
            ", ".join(map(str, HITS[row].values())),
            "321",
        ]
        for row in HITS
    ]
    assert plot.read_text().count("<svg") == 1


def test_a_score_in_the_json_is_not_made_again_where_its_work_directory_is_gone(finished):
    scores, configs = finished / "scores.json", [f"{CONFIG}:{row}" for row in HITS]
    ablation("--json", scores, "--workdirs", finished / "runs", "--seeds", 0, 1, "--configs", *configs)
    before = scores.read_text()
    said = ablation("--json", scores, "--workdirs", finished / "gone", "--seeds", 0, 1, "--configs", *configs)
    assert said.count("scored before") == 4
    assert scores.read_text() == before
    assert not (finished / "gone").exists()


def test_references_are_named_in_the_plot(finished):
    scores, plot = finished / "scores.json", finished / "plot.svg"
    ablation("--json", scores, "--workdirs", finished / "runs", "--seeds", 0, "--configs", f"{CONFIG}:mixup")
    ablation("--json", scores, "--plot", plot, "--references", "majority=0.411", "linear probe=0.707")
    drawn = plot.read_text()
    assert "majority 0.411" in drawn and "linear probe 0.707" in drawn


def test_a_run_that_cannot_start_is_told_of_and_has_no_score(finished):
    said = ablation(
        "--json",
        finished / "scores.json",
        "--workdirs",
        finished / "runs",
        "--seeds",
        0,
        "--configs",
        f"{CONFIG}:mixup",
        f"{CONFIG}:nonsense",
    )
    assert "1 of 1: drone_ir_ablation_nonsense seed 0 " in said
    assert "ended with 2: train: unknown row 'nonsense'" in said
    assert list(json.loads((finished / "scores.json").read_text())) == ["drone_ir_ablation_mixup"]
