"""Measures one network in several libraries: each alone in a process of its own, in turns, on the same clips; one table with ratios.

`peers.py` and `cnn.py` say what is measured. Their arguments, the timing of a torch model, and the table are here.
"""

import argparse
import dataclasses
import importlib.util
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import script
import subprocesses

WARM_UP = 5
LEARNING_RATE, WEIGHT_DECAY = 1e-5, 0.05


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
      mode: `train` or `infer`.
      batch_size: clips in a step.
      size: the script's name of the network.
      steps: the number of timed steps.
      activation: Hugging Face's `hidden_act`; empty where no network takes one.
      compile_mode: the `mode` of `torch.compile`.
    """

    mode: str
    batch_size: int
    size: str
    steps: int
    activation: str
    compile_mode: str


Peers = Mapping[str, Callable[[Case], dict[str, Any]]]
"""Measures a case with each library, by the name that the table gives it; `ours` is what the others are compared with."""


def make_parser(description: str, peers: Peers, *, train: int, infer: int) -> argparse.ArgumentParser:
    """The arguments that all comparisons share; `train` and `infer` are the default batch sizes."""
    parser = script.make_parser(description)
    parser.add_argument("--train", type=_numbers, default=[train], metavar="N,...", help=f"batch sizes to train with (default {train})")
    parser.add_argument("--infer", type=_numbers, default=[infer], metavar="N,...", help=f"batch sizes to infer with (default {infer})")
    parser.add_argument("--peers", type=lambda text: text.split(";"), default=list(peers), metavar="NAME;...", help="; ".join(peers))
    parser.add_argument("--steps", type=int, default=20, help="timed steps (default 20)")
    parser.add_argument("--rounds", type=int, default=1, help="turns that each takes; the median counts (default 1)")
    parser.add_argument("--compile_mode", default="default", help="mode of torch.compile (default 'default')")
    script.add_json(parser)
    parser.add_argument("--measure", nargs=2, metavar=("PEER", "CASE"), help=argparse.SUPPRESS)
    return parser


def parse(parser: argparse.ArgumentParser, peers: Peers) -> argparse.Namespace:
    """The arguments; where they ask for one measurement, as `alone` does, makes it, prints its row, and ends the process."""
    arguments = parser.parse_args()
    if arguments.measure:
        peer, case = arguments.measure
        print(json.dumps(peers[peer](Case(**json.loads(case)))))
        sys.exit(0)
    for peer in arguments.peers:
        if peer not in peers:
            parser.error(f"unknown peer {peer!r}: {'; '.join(peers)}")
    return arguments


def write(rows: Sequence[Mapping[str, Any]], path: pathlib.Path | None) -> int:
    """Writes the figures as JSON, if there is a path; returns the exit code, 1 if anything failed."""
    script.write_json(path, rows)
    return int(any("error" in row for row in rows))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def compare(arguments: argparse.Namespace, file: str) -> list[dict[str, Any]]:
    """A row for each case and peer: the round of median speed. The script `file` measures one of them, called with `--measure`."""
    cases = [(mode, batch) for mode in ("train", "infer") for batch in getattr(arguments, mode)]
    rounds: dict[tuple, list[dict]] = {}
    for number in range(arguments.rounds):
        for mode, batch_size in cases:
            for peer in arguments.peers:
                case = Case(mode, batch_size, arguments.size, arguments.steps, arguments.activation, arguments.compile_mode)
                row = alone(file, peer, case)
                said = row.get("error") or f"{row['clips_per_second']:.4g} clips/s"
                print(f"round {number + 1}, {mode}, batch {batch_size}, {peer}: {said}", file=sys.stderr, flush=True)
                rounds.setdefault((mode, batch_size, peer), []).append(row)
    return [
        {"mode": mode, "batch_size": batch_size, "peer": peer, "size": arguments.size} | _median(rows)
        for (mode, batch_size, peer), rows in rounds.items()
    ]


def alone(file: str, peer: str, case: Case) -> dict[str, Any]:
    """Measures in a process of its own; what went wrong in it is `error`."""
    printed, problem = subprocesses.alone(file, "--measure", peer, json.dumps(dataclasses.asdict(case)))
    return {"error": problem} if problem else printed[-1]


def _median(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of median speed, with the speeds of all rounds; an error where any round had one."""
    failed = [row for row in rows if "error" in row]
    if failed:
        return failed[0]
    ordered = sorted(rows, key=lambda row: row["clips_per_second"])
    return ordered[len(rows) // 2] | {"rounds": [row["clips_per_second"] for row in rows]}


def report(rows: list[dict[str, Any]]) -> None:
    """Prints the table; a ratio is our speed over the peer's, in the same mode and batch."""
    print(f"{'mode':6}{'batch':>6}  {'':15}{'clips/s':>9}{'ms':>9}{'ours is':>9}{'peak GB':>9}{'to compile':>12}")
    ours = {(row["mode"], row["batch_size"]): row for row in rows if row["peer"] == "ours"}
    for row in rows:
        head = f"{row['mode']:6}{row['batch_size']:6}  {row['peer']:15}"
        if "error" in row:
            print(f"{head}  {row['error']}")
            continue
        base = ours.get((row["mode"], row["batch_size"]), {}).get("clips_per_second")
        ratio = f"{base / row['clips_per_second']:.2f}x" if base else "-"
        peak = f"{row['peak_bytes'] / 1e9:.1f}" if row["peak_bytes"] else "-"
        print(f"{head}{row['clips_per_second']:9.1f}{row['milliseconds']:9.2f}{ratio:>9}{peak:>9}{row['compile_seconds']:10.1f} s")
    for row in rows:
        if "ceiling" in row:
            ceiling, device = row["ceiling"], row["environment"]["device"]
            print(f"{device}: {ceiling['tflops']:.0f} TFLOP/s in a {ceiling['size']}^3 {ceiling['dtype']} product; ours takes ", end="")
            print(f"{row['share_of_ceiling']:.1%} of it ({row['mode']}, batch {row['batch_size']})")


def time_ours(model: Any, case: Case) -> dict[str, Any]:
    """Times a model of this package, given by its config, through what `vivit bench` measures with."""
    import jax

    from vivit_jax.analysis import throughput
    from vivit_jax.analysis.ceiling import matrix_ceiling
    from vivit_jax.analysis.environment import environment
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    subject = throughput.Subject(
        model,
        TrainingConfig(batch_size=case.batch_size),
        optimizer=OptimizerConfig(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY),
    )
    jax.config.update("jax_enable_compilation_cache", False)
    timing = throughput.measure(case.mode, subject, steps=case.steps)
    ceiling = matrix_ceiling()
    return timing.to_row(ceiling) | {
        "peak_bytes": timing.peak_bytes or timing.program_bytes,
        "ceiling": dataclasses.asdict(ceiling),
        "environment": environment(),
    }


def torch_step(model: Any, clip: tuple[int, int, int], classes: int, compiled: bool, case: Case) -> Callable[[], Any]:
    """A step of a torch model that takes (b, t, h, w, 3), on random clips; the model moves to the GPU, if there is one."""
    import torch

    device = _torch_device()
    generator = np.random.default_rng(0)
    video = torch.from_numpy(generator.integers(0, 256, (case.batch_size, *clip, 3), np.uint8)).to(device)
    label = torch.from_numpy(generator.integers(0, classes, case.batch_size)).to(device)
    return (_training_step if case.mode == "train" else _inference_step)(model.to(device), video, label, compiled, case)


def time_torch(model: Any, clip: tuple[int, int, int], classes: int, compiled: bool, case: Case) -> dict[str, Any]:
    """The steps of a torch model that takes (b, t, h, w, 3)."""
    import torch

    device = _torch_device()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    call = torch_step(model, clip, classes, compiled, case)
    start = time.perf_counter()
    call()
    _synchronise(device)
    first = time.perf_counter() - start
    seconds, last = _time(call, case.steps, device)
    if not torch.isfinite(last).all():
        raise RuntimeError("numbers that are not finite: their time says nothing")
    median = float(np.median(seconds))
    return {
        "clips_per_second": case.batch_size / median,
        "milliseconds": 1e3 * median,
        "milliseconds_quartiles": [1e3 * float(np.quantile(seconds, share)) for share in (0.25, 0.75)],
        "compile_seconds": first - median,
        "peak_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
        "parameters": parameters,
        "environment": {"versions": {name: _version(name) for name in ("torch", "timm", "transformers", "triton")}},
    }


def _torch_device() -> Any:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _training_step(model: Any, video: Any, label: Any, compiled: bool, case: Case) -> Callable[[], Any]:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)

    def loss_of(video: Any, label: Any) -> Any:
        with torch.autocast(video.device.type, torch.bfloat16):
            logits = model(video.float() / 127.5 - 1)
        return torch.nn.functional.cross_entropy(logits.float(), label)

    loss_of = torch.compile(loss_of, mode=case.compile_mode) if compiled else loss_of

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(video, label)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _inference_step(model: Any, video: Any, label: Any, compiled: bool, case: Case) -> Callable[[], Any]:
    import torch

    del label
    model = model.to(torch.bfloat16).eval()

    def logits_of(video: Any) -> Any:
        return model((video.float() / 127.5 - 1).to(torch.bfloat16)).float()

    logits_of = torch.compile(logits_of, mode=case.compile_mode) if compiled else logits_of

    def step() -> Any:
        with torch.inference_mode():
            return logits_of(video)

    return step


def _time(call: Callable[[], Any], count: int, device: Any) -> tuple[np.ndarray, Any]:
    """Seconds from the end of one call to that of the next, of `count` calls that follow a warm-up; and the last result."""
    import torch

    ends = []
    for _ in range(WARM_UP + count):
        last = call()
        if device.type == "cuda":
            ends.append(torch.cuda.Event(enable_timing=True))
            ends[-1].record()
        else:
            ends.append(time.perf_counter())
    _synchronise(device)
    if device.type == "cuda":
        return np.array([1e-3 * before.elapsed_time(after) for before, after in itertools.pairwise(ends)])[-count:], last
    return np.diff(ends)[-count:], last


def _synchronise(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()


def _version(name: str) -> str | None:
    from importlib import metadata

    return metadata.version(name) if importlib.util.find_spec(name) else None
