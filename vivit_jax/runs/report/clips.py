"""The clips that a model was surest of, among those it got right and those it got wrong."""

from collections import Counter
from collections.abc import Iterator, Sequence

from vivit_jax.data.dataset import VideoDataset, open_dataset
from vivit_jax.errors import UserError
from vivit_jax.runs.pages.clips import clip_as_uri, player
from vivit_jax.runs.pages.page import cut, short, text
from vivit_jax.runs.record import RunRecord
from vivit_jax.runs.report.predictions import Example, HeadPrediction

SHOWN = 6
RANKED = 3
LETTERS = 60  # of a name
RIGHT, WRONG = (
    '<span class="mark right" role="img" aria-label="right">✓</span>',
    '<span class="mark" role="img" aria-label="wrong">✗</span>',
)


def clips(run: RunRecord, evaluation: dict, examples: Sequence[Example], room: int) -> str:
    """The clips, as long as they do not take more than `room` bytes; in their place the reason where they cannot be shown."""
    data = run.experiment.data
    surest = sorted(examples, key=lambda example: -example.probability)
    groups = {
        "Right, and sure of it": _classes_in_turn([example for example in surest if example.right])[:SHOWN],
        "Wrong, and sure of it": [example for example in surest if not example.right][:SHOWN],
    }
    try:
        dataset = open_dataset(evaluation.get("name", data.name), data.data_dir)
        return "".join(_group(title, _cards(dataset, evaluation["split"], chosen, room // 2)) for title, chosen in groups.items() if chosen)
    except UserError as error:
        return f"<p>The clips cannot be shown: {text(str(error))}</p>"


def _classes_in_turn(examples: Sequence[Example]) -> list[Example]:
    """The examples with the first of each class before the second of any."""
    seen: Counter[tuple[str, ...]] = Counter()
    ranked = []
    for example in examples:
        label = tuple(name for prediction in example.by_head.values() for name in prediction.labels)
        ranked.append((seen[label], example))
        seen[label] += 1
    return [example for _, example in sorted(ranked, key=lambda item: item[0])]


def _group(title: str, cards: Iterator[str]) -> str:
    return f'<h3>{title}</h3><div class="clips">{"".join(cards)}</div>'


def _cards(dataset: VideoDataset, split: str, examples: Sequence[Example], room: int) -> Iterator[str]:
    for number, example in enumerate(examples):
        name, uri = clip_as_uri(dataset, split, example.index)
        room -= len(uri)
        if room < 0:
            yield f"<p>{len(examples) - number} more would make the page too large.</p>"
            return
        answers = "".join(_answer(head, prediction) for head, prediction in example.by_head.items())
        title = f'<span class="soft" title="{text(cut(name, 1000))}">{text(short(name.rsplit("/", 1)[-1], LETTERS))}</span>'
        yield f'<figure class="clip">{player(uri, f"Clip {name}")}<figcaption>{title}{answers}</figcaption></figure>'


def _answer(head: str, prediction: HeadPrediction) -> str:
    """The label, and the most probable classes with their probabilities."""
    prefix = f"{text(short(head, LETTERS))}: " if head else ""
    label = ", ".join(map(_name, prediction.labels)) or "none"
    predicted = f"<strong>{_name(prediction.prediction)}</strong>"
    verdict = f"{RIGHT} {prefix}{predicted}" if prediction.right else f"{WRONG} {prefix}{predicted}, but it is <strong>{label}</strong>"
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:RANKED]
    ranked = ranked or [(prediction.prediction, prediction.probability)]
    bars = "".join(_bar(name, value, of_label=name in prediction.labels) for name, value in ranked)
    return f'<p>{verdict}</p><ol class="ranking">{bars}</ol>'


def _bar(name: str, value: float, *, of_label: bool) -> str:
    css, title = ' class="of-label"' if of_label else "", text(cut(name, 1000))
    bar = f'<i style="--value:{value:.1%}"></i>'
    return f'<li{css}><span title="{title}">{text(short(name, LETTERS))}</span><span>{value:.1%}</span>{bar}</li>'


def _name(name: str) -> str:
    """A class's name, which a narrow card breaks where words of it end."""
    return text(short(name, LETTERS)).replace("_", "_<wbr>")
