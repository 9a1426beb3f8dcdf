"""Something-Something v2 (Goyal et al. 2017): JSON lists, and videos `ID.webm`.

`something-something-v2-train.json` and `-validation.json`, in newer releases `train.json` and `validation.json`, are lists such as

    [{"id": "78687", "label": "holding potato next to vicks vaporub bottle",
      "template": "Holding [something] next to [something]", "placeholders": ["potato", "vicks vaporub bottle"]}, ...

A clip's class is its template without the brackets. `something-something-v2-labels.json` (or `labels.json`) numbers the classes:

    {"Approaching something with your camera": "0", "Attaching something to something": "1", ...

The test split has labels only in newer releases, as lines `ID;template without brackets` of `test-answers.csv`.
"""

import pathlib

from vivit_jax.data.layouts.base import Annotations, Reading
from vivit_jax.data.layouts.published import Gathered, Publication, cells_of, entries_of, json_of, known_class, whole_number
from vivit_jax.errors import UserError


def read(source: pathlib.Path, reading: Reading) -> Annotations:
    """Lists the clips of the training and validation split, and those of the test split if its answers are there.

    Raises:
      UserError: naming the file and entry.
    """
    publication = Publication(source, reading)
    labels = _labels(publication.needed("*-v2-labels.json", "labels.json"))
    gathered, remarks = Gathered(), []
    publication.needed("*-v2-train.json", "train.json", "*-v2-validation.json", "validation.json")
    for split, patterns in (("train", ("*-v2-train.json", "train.json")), ("val", ("*-v2-validation.json", "validation.json"))):
        for path in publication.files(*patterns)[:1]:
            for where, entry in entries_of(path, "id", "template"):
                label = known_class(where, str(entry["template"]).replace("[", "").replace("]", ""), labels)
                gathered.add(str(entry["id"]), split, label, publication.video(str(entry["id"]), split=split))
    answers = publication.file("*test-answers.csv")
    if answers:
        for where, cells in cells_of(answers, ";"):
            if len(cells) != 2:
                raise UserError(f"{where}: expected ID;class, got {';'.join(cells)[:100]!r}")
            gathered.add(cells[0], "test", known_class(where, cells[1], labels), publication.video(cells[0], split="test"))
    elif test := publication.file("*-v2-test.json", "test.json"):
        remarks.append(f"{test.name} has no labels and is left aside")
    return gathered.annotations(labels, publication, *remarks)


def _labels(path: pathlib.Path) -> tuple[str, ...]:
    numbers = {name: whole_number(f"{path}: {name[:50]!r}", "its number", number) for name, number in json_of(path, dict).items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise UserError(f"{path}: the classes must be numbered from 0 to {len(numbers) - 1}")
    return tuple(sorted(numbers, key=numbers.get))
