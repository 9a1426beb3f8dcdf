"""How long is it from the command to the first step, cold and warm? A few steps of motion_digits, twice, over one compilation cache.

  python benchmarks/start_up.py
  python benchmarks/start_up.py --config configs/drone_ir.py --rounds 3 -- --config.data.data_dir=data
  python benchmarks/start_up.py --trees . ../before --rounds 3 --json start_up.json

The data set is made beforehand, and what follows `--` goes to `train.py`. Cold is with an empty cache; what the operating system has read
of the libraries stays in its memory, so the first of several rounds may be slower. Several checkouts take turns. CPU seconds are those of
the run and of the processes that it waited for.
"""

import argparse
import pathlib
import re
import statistics
import tempfile

from script import add_json, make_parser, write_json
from subprocesses import ROOT, train_timed

STEPS = 3
TIMEOUT = 400  # seconds for one start


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--config", default="configs/motion_digits.py", help="below each checkout")
    parser.add_argument("--rounds", type=int, default=1, help="the median counts")
    parser.add_argument(
        "--trees", nargs="+", type=pathlib.Path, default=[ROOT], metavar="DIR", help="checkouts to start (default: this one)"
    )
    add_json(parser)
    parser.add_argument("flags", nargs="*", help="further flags of train.py")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        start(arguments, arguments.trees[0].resolve(), pathlib.Path(folder), "before")  # makes the data set
        for number in range(arguments.rounds):
            for place, tree in enumerate(arguments.trees):
                for name in ("cold", "warm"):
                    row = start(arguments, tree.resolve(), pathlib.Path(folder), f"{number}-{place}")
                    rows.append({"tree": str(tree), "round": number, "cache": name, **row})
                    print(rows[-1], flush=True)
                    write_json(arguments.json, rows)
    for tree in arguments.trees:
        for name in ("cold", "warm"):
            tell(tree, name, [row for row in rows if (row["tree"], row["cache"]) == (str(tree), name) and "error" not in row])


def tell(tree: pathlib.Path, name: str, rows: list[dict]) -> None:
    """Prints the medians of the starts that worked."""
    if not rows:
        print(f"{tree}  {name}  failed")
        return
    first, whole, cpu = (statistics.median(row[key] for row in rows) for key in ("first_step", "end", "cpu"))
    said = f"{first:6.1f} s to the first step  {whole:6.1f} s to the end of {STEPS}  {cpu:6.1f} CPU s"
    print(f"{tree}  {name}  {said}  ({rows[-1]['compiling']})")


def start(arguments: argparse.Namespace, tree: pathlib.Path, folder: pathlib.Path, cache: str) -> dict:
    """Seconds to the line that tells of the first step, and what it says of compiling; seconds and CPU seconds to the end; or the error."""
    flags = [f"--config={arguments.config}", f"--workdir={tempfile.mkdtemp(dir=folder)}"]
    flags += [f"--config.training.steps={STEPS}", "--config.data.val_split=None", "--config.data.test_split=None"]
    flags += ["--config.schedule.warmup_epochs=0", f"--config.training.compilation_cache={folder / cache}", *arguments.flags]
    first = {}

    def tell(line: str, seconds: float, _: int) -> None:
        if found := re.match(r"first step .* after the start, (.*)", line):
            first.update(first_step=seconds, compiling=found.group(1))

    ended = train_timed(tree, flags, tell, timeout=TIMEOUT)
    if ended.code or not first:
        return {"error": f"train.py ended with {ended.code}: {ended.said[-2000:]}"}
    return first | {"end": ended.seconds, "cpu": ended.cpu}


if __name__ == "__main__":
    main()
