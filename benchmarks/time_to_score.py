"""How many steps, seconds and CPU seconds does a validation score take? Checkouts or changes of a config beside each other, over seeds.

  python benchmarks/time_to_score.py --out figures --target 0.95 --case before ../before --case now .
  python benchmarks/time_to_score.py --out figures --target 0.95 --seeds 0 1 2 --at_once 8 --cpus 2 --new_data \
      --case "as it is" . --case "5 epochs" . training.epochs=5.0 optimizer.learning_rate=2e-3
  python benchmarks/time_to_score.py --out figures --config configs/drone_ir.py --target 0.9 --set data.data_dir=data \
      --case before ../before --case now .

A case is a name, a checkout, and keys of the config that it sets; `--set` sets keys in all cases. Each run begins with an empty compilation
cache. Its seconds count from the command on, validation included, and are known each time it validates; its CPU seconds are those of its
processes together. Cases take turns seed by seed, and several run at once only if each has CPUs of its own. `figures/time_to_score.json` is
written after each run; the same command again does what is not there yet, and with another `--target` only tells the table anew.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import re
import statistics
import sys
import tempfile
import threading

from script import make_parser, write_json
from subprocesses import train_timed, usage


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder for time_to_score.json")
    parser.add_argument("--case", nargs="+", action="append", required=True, metavar=("NAME", "TREE"), help="NAME TREE [KEY=VALUE ...]")
    parser.add_argument("--config", default="configs/motion_digits.py", help="below each checkout")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys of the config in all cases")
    parser.add_argument("--score", default="top1", help="a score of the validation split, the larger the better")
    parser.add_argument("--target", type=float, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--new_data", action="store_true", help="each run makes its data set too")
    parser.add_argument("--at_once", type=int, default=1, help="runs side by side; needs --cpus")
    parser.add_argument("--cpus", type=int, help="CPUs of each run, its own")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds a run may take")
    arguments = parser.parse_args()
    if arguments.at_once > 1 and not arguments.cpus:
        parser.error("--at_once needs --cpus: runs that share CPUs cannot be timed")
    if arguments.at_once * (arguments.cpus or 1) > len(os.sched_getaffinity(0)):
        parser.error(f"there are {len(os.sched_getaffinity(0))} CPUs: lower --at_once or --cpus")
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = all_rows(arguments)
    print(table(rows, arguments.score, arguments.target))
    return int(any("error" in row for row in rows))


def all_rows(arguments: argparse.Namespace) -> list[dict]:
    """The rows of all runs, those of an earlier call as they are in the file."""
    file, lock = arguments.out / "time_to_score.json", threading.Lock()
    rows = [row for row in json.loads(file.read_text()) if "error" not in row] if file.exists() else []
    known = {(row["case"], row["seed"]) for row in rows}
    places: queue.Queue = queue.Queue()
    mine = sorted(os.sched_getaffinity(0))
    for number in range(arguments.at_once):
        places.put(mine[number * arguments.cpus : (number + 1) * arguments.cpus] if arguments.cpus else mine)

    def one(case: list[str], seed: int) -> None:
        cpus = places.get()
        try:
            row = {"case": case[0], "seed": seed, "cpus": len(cpus), **run(arguments, case, seed, cpus)}
        finally:
            places.put(cpus)
        with lock:
            rows.append(row)
            write_json(file, rows)
            print(row.get("error") or f"{case[0]}, seed {seed}: {row['end']}", file=sys.stderr, flush=True)

    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        for done in [pool.submit(one, case, seed) for seed in arguments.seeds for case in arguments.case if (case[0], seed) not in known]:
            done.result()
    return rows


def run(arguments: argparse.Namespace, case: list[str], seed: int, cpus: list[int]) -> dict:
    """One run: when its first step and its end came, its validation scores with their times, and its score on the test split."""
    _, tree, *keys = case
    tree = pathlib.Path(tree).resolve()
    with tempfile.TemporaryDirectory() as folder:
        keys = [*arguments.set, *keys, f"seed={seed}", f"training.compilation_cache={folder}/compiled"]
        keys += [f"data.data_dir={folder}/data"] if arguments.new_data else []
        flags = [f"--config={arguments.config}", f"--workdir={folder}/run", *(f"--config.{key}" for key in keys)]
        row = {"validated": []}

        def tell(line: str, seconds: float, pid: int) -> None:
            taken = usage(pid)
            now = {"seconds": round(seconds, 2), "cpu": round(taken.cpu_seconds if taken else 0.0, 2)}
            if line.startswith("first step"):
                row["first_step"] = now
            elif found := re.match(r"step (\d+)/\d+ +val ", line):
                score = validated(pathlib.Path(folder, "run"), int(found[1]), arguments.score)
                row["validated"].append({"step": int(found[1]), arguments.score: score, **now})

        ended = train_timed(tree, flags, tell, timeout=arguments.timeout, cpus=cpus)
        if ended.code:
            return {"error": f"{case[0]}, seed {seed}: train.py ended with {ended.code}: {ended.said[-1000:]}"}
        row["end"] = {"seconds": round(ended.seconds, 2), "cpu": round(ended.cpu, 2)}
        evaluation = pathlib.Path(folder, "run", "evaluation.json")
        return row | {"test": json.loads(evaluation.read_text()).get(arguments.score) if evaluation.exists() else None}


def validated(workdir: pathlib.Path, step: int, score: str) -> float:
    """The validation score of a step, which is in `metrics.jsonl` before it is told; NaN where there is none of that name."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return next((row[f"val/{score}"] for row in reversed(rows) if row["step"] == step and f"val/{score}" in row), float("nan"))


def table(rows: list[dict], score: str, target: float) -> str:
    """Medians over the seeds, with the smallest and largest; runs that never reach the target are told by their number."""
    lines = [
        f"| | reached {target:g} | steps | s | CPU s | first step, s, CPU s | the whole run, s, CPU s | best on val | test |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        runs = [row for row in rows if row["case"] == case and "error" not in row]
        if not runs:
            lines.append(f"| {case} | failed |" + " |" * 7)
            continue
        hits = [next((at for at in row["validated"] if at[score] >= target), None) for row in runs]
        reached = [hit for hit in hits if hit]
        columns = [f"{len(reached)} of {len(runs)}"]
        columns += [spread([hit[key] for hit in reached], digits) for key, digits in (("step", 0), ("seconds", 1), ("cpu", 1))]
        columns += [", ".join(spread([row[when][key] for row in runs], 1) for key in ("seconds", "cpu")) for when in ("first_step", "end")]
        columns += [spread([max(at[score] for at in row["validated"]) for row in runs if row["validated"]], 4)]
        columns += [spread([row["test"] for row in runs if row["test"] is not None], 4)]
        lines.append(f"| {case} | {' | '.join(columns)} |")
    return "\n".join(lines)


def spread(values: list[float], digits: int) -> str:
    if not values:
        return "-"
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


if __name__ == "__main__":
    raise SystemExit(main())
