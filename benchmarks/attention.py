"""How fast is FlashAttention-3 beside cuDNN and tokamax's Mosaic GPU kernel: alone at ViViT's lengths, and in the steps of Model 1?

  python benchmarks/attention.py --out attention                # on a Hopper GPU with the extra fa3
  python benchmarks/attention.py --out attention --toy          # that everything runs, on a CPU

Each way runs alone in a process of its own, so that one that fails or hangs leaves the others. A row is written when it is measured, and
`attention.md` holds the tables. The parts:

  alone    12 heads of 64 in bfloat16: milliseconds of the forward pass, and of it with the gradients; of some lengths the largest distances
           from the definition in float32, and whether the gradients have the same bits twice. cuDNN is given odd lengths padded, as the
           encoder pads them once for all layers.
  steps    Model 1's train and eval step with either, in turns; 128 frames too.
"""

import argparse
import functools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from script import make_parser, write_json
from subprocesses import alone

HEADS, HEAD_DIM = 12, 64
# Clips or frames, and their tokens: Model 1's without and with a cls token, a frame's, 128 frames', and lengths between.
SHAPES = [(32, 3136), (32, 3137), (512, 196), (512, 197), (8, 12545), (392, 256), (195, 513), (128, 785), (98, 1024), (64, 1569)]
TOY_SHAPES = [(2, 8), (2, 9)]
# Of these the distances from the definition are measured: on the first clip or frame, since all are alike.
CHECKED = (196, 197, 3136, 3137, 12545, *(tokens for _, tokens in TOY_SHAPES))
# tokamax is compared where it would be used.
SHAPES_OF = {"tokamax": 5}
CHECKED_HEADS = 2
STEPS = [("train", 32, 32), ("infer", 32, 64), ("train", 128, 8)]  # mode, frames, clips
TOY_STEPS = [("train", 4, 2), ("infer", 4, 2)]
SECONDS_OF_A_PART = 120

Attention = Callable[..., Any]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a folder for rows, report.json and attention.md")
    parser.add_argument("--toy", action="store_true", help="tiny shapes, and ways that a CPU runs")
    parser.add_argument("--ways", type=lambda text: text.split(","), help="default cudnn,fa3,tokamax")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=["alone", "steps"], help="default alone,steps")
    parser.add_argument("--rounds", type=int, default=2, help="turns that each step takes (default 2)")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    ways = arguments.ways or (["xla", "chunked", "fa3"] if arguments.toy else ["cudnn", "fa3", "tokamax"])
    if arguments.part:
        for row in measure(*arguments.part, ways, arguments):
            print(json.dumps(row), flush=True)
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = [("alone", way) for way in ways] if "alone" in arguments.parts else []
    parts += [("steps", str(number)) for number in range(len(steps_of(arguments)))] if "steps" in arguments.parts else []
    rows: list[dict[str, Any]] = []
    for part in parts:
        rows += run_alone(part)
        write_json(arguments.out / "report.json", rows)
        (arguments.out / "attention.md").write_text("\n".join(tables(rows, ways)) + "\n")
    print("\n".join(tables(rows, ways)))
    return int(any("error" in row for row in rows))


def run_alone(part: tuple[str, str]) -> list[dict[str, Any]]:
    """The rows of one part, measured in a process of its own; the last has an `error` if it failed or took too long."""
    start = time.perf_counter()
    rows, problem = alone(__file__, *sys.argv[1:], "--part", *part, timeout=SECONDS_OF_A_PART)
    rows += [{"part": part[0], "way": part[1], "error": problem}] if problem else []
    for row in rows:
        print(json.dumps(row), flush=True)
    print(f"{' '.join(part)}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def measure(part: str, what: str, ways: Sequence[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of one part, in this process."""
    if part == "steps":
        yield from measure_steps(*steps_of(arguments)[int(what)], ways, arguments)
        return
    attend = attention_by(what)
    shapes = TOY_SHAPES if arguments.toy else SHAPES[: SHAPES_OF.get(what)]
    for count, tokens in shapes:
        row = {"part": part, "way": what, "count": count, "tokens": tokens}
        try:
            yield row | measure_alone(attend, count, tokens, timed=3 if arguments.toy else 10)
        except Exception as error:
            yield row | {"error": f"{type(error).__name__}: {error}"[:300]}


def attention_by(way: str) -> Attention:
    """Attention of (b, n, k, f) by one of our backends, or by tokamax."""
    if way == "tokamax":
        import tokamax

        return functools.partial(tokamax.dot_product_attention, implementation="mosaic")
    from vivit_jax.models.kernels.attention import dot_product_attention

    return functools.partial(dot_product_attention, backend=way)


def measure_alone(attend: Attention, count: int, tokens: int, timed: int) -> dict[str, Any]:
    """Milliseconds of both passes, and for some lengths how far they are from the definition."""
    import jax
    import jax.numpy as jnp

    from vivit_jax.models.kernels.attention import padded_length

    def with_gradients(query: Any, key: Any, value: Any, gradient: Any) -> tuple[Any, ...]:
        out, backward = jax.vjp(attend, query, key, value)
        return out, *backward(gradient)

    backend = getattr(attend, "keywords", {}).get("backend")
    padded = padded_length(tokens, backend, HEAD_DIM, jnp.bfloat16) if backend else tokens
    if padded > tokens:
        attend = functools.partial(attend, length=tokens)
    arrays = [
        jax.random.normal(key, (count, padded, HEADS, HEAD_DIM), jnp.bfloat16).at[:, tokens:].set(0)
        for key in jax.random.split(jax.random.key(tokens), 4)
    ]
    forward, both = jax.jit(attend), jax.jit(with_gradients)
    results = both(*arrays)
    row = {"forward": milliseconds(lambda: forward(*arrays[:3]), timed), "both": milliseconds(lambda: both(*arrays), timed)}
    if tokens not in CHECKED:
        return row
    repeated = both(*arrays)
    row["same_bits_twice"] = all(bool((a == b).all()) for a, b in zip(results, repeated, strict=True))
    part = [x[:1, :tokens, :CHECKED_HEADS].astype(jnp.float32) for x in (*arrays, *results)]
    expected = exact(*part[:4])
    names = ("out", "query", "key", "value")
    row["largest"] = {name: float(abs(a - b).max()) for name, a, b in zip(names, part[4:], expected, strict=True)}
    row["relative"] = {
        name: float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for name, a, b in zip(names, part[4:], expected, strict=True)
    }
    return row


def exact(*arrays: Any) -> tuple[Any, ...]:
    """The definition and its gradients, in float32 with products of full precision."""
    import jax

    from vivit_jax.models.kernels.attention import dot_product_attention

    with jax.default_matmul_precision("highest"):

        @jax.jit
        def run(query: Any, key: Any, value: Any, gradient: Any) -> tuple[Any, ...]:
            out, backward = jax.vjp(functools.partial(dot_product_attention, backend="xla"), query, key, value)
            return out, *backward(gradient)

        return run(*arrays)


def milliseconds(call: Callable[[], Any], timed: int, rounds: int = 3) -> float:
    """Milliseconds of one call: in the fastest of some rounds of calls that are queued together."""
    import jax

    jax.block_until_ready(call())
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready([call() for _ in range(timed)][-1])
        seconds.append((time.perf_counter() - start) / timed)
    return 1e3 * min(seconds)


def steps_of(arguments: argparse.Namespace) -> list[tuple[str, int, int]]:
    return TOY_STEPS if arguments.toy else STEPS


def measure_steps(mode: str, frames: int, clips: int, ways: Sequence[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Clips a second of Model 1 with the first two ways, in turns."""
    import jax

    from vivit_jax.analysis import throughput
    from vivit_jax.analysis.ceiling import matrix_ceiling
    from vivit_jax.analysis.environment import environment
    from vivit_jax.models.vivit.config import ViViTConfig
    from vivit_jax.training.config import OptimizerConfig, TrainingConfig

    toy = {"hidden_size": 16, "num_layers": 2, "num_heads": 2, "mlp_dim": 32, "clip": (frames, 16, 16), "tubelet": (2, 8, 8)}
    size = toy if arguments.toy else {"size": "B", "clip": (frames, 224, 224)}
    subjects = [
        throughput.Subject(
            ViViTConfig(**size, num_classes=400, dtype="bfloat16", attention=attention),
            TrainingConfig(batch_size=clips),
            optimizer=OptimizerConfig(weight_decay=0.05),
        )
        for attention in ways[:2]
    ]
    jax.config.update("jax_enable_compilation_cache", False)
    ceiling = matrix_ceiling()
    timings = throughput.measure_in_turns(mode, subjects, seconds=0.1 if arguments.toy else 2.0, rounds=arguments.rounds)
    for attention, timing in zip(ways[:2], timings, strict=True):
        yield {"part": "steps", "way": attention, "frames": frames, "ceiling": ceiling.tflops} | timing.to_row(ceiling)
    yield {"part": "environment"} | environment()


def tables(rows: Sequence[Mapping[str, Any]], ways: Sequence[str]) -> list[str]:
    """What was measured, as Markdown."""
    alone = {(row["way"], row["count"], row["tokens"]): row for row in rows if row["part"] == "alone" and "count" in row}
    shapes = sorted({key[1:] for key in alone}, key=lambda shape: shape[1])
    lines = [f"| clips x tokens | {' | '.join(f'{way}: forward, both ways' for way in ways)} |", "|---" * (1 + len(ways)) + "|"]
    lines += [
        f"| {count} x {tokens} | {' | '.join(_milliseconds(alone.get((way, count, tokens))) for way in ways)} |" for count, tokens in shapes
    ]
    lines += ["", "| tokens | way | largest distance: out, dq, dk, dv | relative | same bits twice |", "|---|---|---|---|---|"]
    for (way, _, tokens), row in sorted(alone.items(), key=lambda item: item[0][2]):
        if "largest" in row:
            largest, relative = (", ".join(f"{x:.1e}" for x in row[kind].values()) for kind in ("largest", "relative"))
            lines.append(f"| {tokens} | {way} | {largest} | {relative} | {'yes' if row['same_bits_twice'] else 'no'} |")
    if least := crossover(alone, ways[0]):
        lines += ["", f"FlashAttention-3 is faster than {ways[0]} both ways from {least} tokens on, of those measured."]
    lines += ["", "| Model 1 | attention | clips/s | ms | of the ceiling | memory of the program |", "|---|---|---|---|---|---|"]
    for row in rows:
        if row["part"] == "steps" and "clips_per_second" in row:
            what = f"{row['mode']}, {row['frames']} frames, batch {row['batch_size']}"
            memory = f"{(row['program_bytes'] or 0) / 1e9:.1f} GB"
            figures = f"{row['clips_per_second']:.1f} | {row['milliseconds']:.1f} | {100 * row['share_of_ceiling']:.0f} %"
            lines.append(f"| {what} | {row['way']} | {figures} | {memory} |")
    failed = [row for row in rows if "error" in row]
    return lines + [f"\nfailed: {row['part']} {row['way']} {row.get('tokens', '')}: {row['error']}" for row in failed]


def crossover(alone: Mapping[tuple[str, int, int], Mapping[str, Any]], other: str) -> int | None:
    """The least of the measured lengths from which FlashAttention-3 is faster both ways at all longer ones; None if at none."""
    faster = {}
    for (way, count, tokens), row in alone.items():
        if way == "fa3" and "both" in row and "both" in alone.get((other, count, tokens), {}):
            faster[tokens] = row["both"] < alone[other, count, tokens]["both"]
    slower = [tokens for tokens, is_faster in faster.items() if not is_faster]
    return min((tokens for tokens in faster if tokens > max(slower, default=0)), default=None)


def _milliseconds(row: Mapping[str, Any] | None) -> str:
    return f"{row['forward']:.2f}, {row['both']:.2f}" if row and "both" in row else "failed" if row else ""


if __name__ == "__main__":
    sys.exit(main())
