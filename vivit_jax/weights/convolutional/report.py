"""Lines of the report of a transfer that every CNN has: batch statistics and torch's counters, the head, the pixels."""

from vivit_jax.models.convolutional.config import ConvolutionalConfig
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convolutional.source import Source
from vivit_jax.weights.convolutional.state_dict import COUNTER, counters
from vivit_jax.weights.report import ReportLine
from vivit_jax.weights.tensor_files import Tensors
from vivit_jax.weights.torch_names import STATISTICS

UNUSED = "left out: torch uses these counters only where momentum is None, and the running statistics do not depend on them"


def notes_of(tensors: Tensors) -> list[ReportLine]:
    """Lines on where in the file the tensors were."""
    return [ReportLine(name, "-", note) for name, note in tensors.notes]


def statistics_of(tensors: Tensors, names: dict[str, str]) -> list[ReportLine]:
    """The lines on batch statistics, which are copied, and on the counters of batches beside them, which are not.

    Args:
      tensors: the source's tensors.
      names: torch's name of each variable that is read, by our path.
    """
    copied = sum(path.startswith(STATISTICS) for path in names)
    lines = [ReportLine("batch statistics", "*.running_mean, *.running_var", f"copied, {copied} tensors")]
    left = [name for name in counters(names.values()) if name in tensors]
    return [*lines, ReportLine("-", f"*.{COUNTER} ({len(left)})", UNUSED)] if left else lines


def head_of(source: Source, model: ConvolutionalConfig, init: InitConfig, theirs: str) -> list[ReportLine]:
    """The lines on the model's heads and on the source's, which are `theirs`."""
    kept = init.head == "keep"
    heads = ", ".join(sorted(f"head_{name}" if name else "head" for name in model.heads))
    lines = [ReportLine(heads, theirs if kept else "-", "copied" if kept else "random")] if heads else []
    if source.classes is not None and not kept:
        lines.append(ReportLine("-", theirs, f"left out: its {source.classes} classes are not the model's"))
    return lines


def pixels_of(source: Source, init: InitConfig) -> ReportLine:
    """The line on what pixels are normalised by."""
    origin = "given" if init.mean or init.std else source.pixels_from
    return ReportLine("(config)", origin, f"pixel mean {init.mean or source.mean}, std {init.std or source.std}")


def parts_of(names: dict[str, str], part: str, depth: int) -> str:
    """Torch's names for a part of our network: the first `depth` words of its tensors' names, each once."""
    words = {".".join(name.split(".")[:depth]) for path, name in names.items() if path.startswith(part)}
    return ", ".join(f"{word}.*" for word in sorted(words))
