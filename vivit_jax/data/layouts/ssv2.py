"""Something-Something v2 (Goyal et al. 2017): JSON lists, and videos `ID.webm`.

`something-something-v2-train.json` and `-validation.json`, in newer releases `train.json` and `validation.json`, are lists such as

    [{"id": "78687", "label": "holding potato next to vicks vaporub bottle",
      "template": "Holding [something] next to [something]", "placeholders": ["potato", "vicks vaporub bottle"]}, ...

A clip's class is its template without the brackets. `something-something-v2-labels.json` (or `labels.json`) numbers the classes:

    {"Approaching something with your camera": "0", "Attaching something to something": "1", ...

`something-something-v2-test.json` (or `test.json`) lists the clips of the test split and no labels, `[{"id": "1420"}, ...`. Newer releases
tell these in `test-answers.csv`, whose lines are the clip and its class, so that the split can be scored:

    1420;Tearing something into two pieces
"""

import pathlib
from collections.abc import Sequence

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.clip_collector import SHOWN, ClipCollector
from vivit_jax.data.layouts.lists import cells_of, entries_of, in_order, json_of, known_class, whole_number
from vivit_jax.data.layouts.published import UNSCORED, Publication
from vivit_jax.errors import UserError

LISTS = {"train": ("*-v2-train.json", "train.json"), "val": ("*-v2-validation.json", "validation.json", "val.json")}
TEST, ANSWERS = ("*-v2-test.json", "test.json"), "*test-answers.csv"


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the clips of the training, validation and test split; without its answers, the test split has no labels.

    Raises:
      UserError: naming the file and entry.
    """
    publication = Publication(source, reading)
    labels = _labels(publication.needed("*-v2-labels.json", "labels.json"))
    collector = ClipCollector(publication)
    publication.needed(*(pattern for patterns in LISTS.values() for pattern in patterns), *TEST, ANSWERS)
    for split, path in publication.by_split(LISTS):
        for where, entry in entries_of(path, "id", "template"):
            label = known_class(where, str(entry["template"]).replace("[", "").replace("]", ""), labels)
            collector.add(str(entry["id"]), split, label, publication.video(str(entry["id"]), split=split))
    remarks = _test(publication, labels, collector)
    return collector.annotations(labels, *remarks)


def _test(publication: Publication, labels: Sequence[str], collector: ClipCollector) -> list[str]:
    """Adds the clips of the test split; returns what a person should know of it."""
    listed, answers = publication.file(*TEST), publication.file(ANSWERS)
    names = [str(entry["id"]) for _, entry in entries_of(listed, "id")] if listed else []
    if answers is None:
        for name in names:
            collector.add(name, "test", None, publication.video(name, split="test"))
        return [UNSCORED.format(listed.name, "test")] if names else []
    answered = set()
    for where, cells in cells_of(answers, ";"):
        if len(cells) != 2:
            raise UserError(f"{where}: expected ID;class, got {';'.join(cells)[:100]!r}")
        answered.add(cells[0])
        collector.add(cells[0], "test", known_class(where, cells[1], labels), publication.video(cells[0], split="test"))
    unanswered = [name for name in dict.fromkeys(names) if name not in answered]
    shown = ", ".join(unanswered[:SHOWN])
    return [f"{len(unanswered)} clips of {listed.name} have no class in {answers.name} and are left aside: {shown}"] if unanswered else []


def _labels(path: pathlib.Path) -> tuple[str, ...]:
    numbers = {name: whole_number(f"{path}: {name[:50]!r}", "its number", number) for name, number in json_of(path, dict).items()}
    return in_order(path, numbers)
