"""A comparison on one page: `compare.html`, a single file that loads nothing else."""

import dataclasses
from collections.abc import Iterator

from vivit_jax.data.dataset import VideoDataset
from vivit_jax.errors import UserError
from vivit_jax.runs.comparison import plots
from vivit_jax.runs.comparison.disagreements import Disagreement, disagreements
from vivit_jax.runs.comparison.result import HARDEST, Comparison, Entry
from vivit_jax.runs.comparison.tables import Table, kappa_text, method, pairs_table, percent, runs_table, verdict
from vivit_jax.runs.pages.clips import SCRIPT, clip_as_uri, player
from vivit_jax.runs.pages.page import figure, page_of, text
from vivit_jax.runs.pages.tables import meanings, name, scrolling, table

PAIRS_OPEN = 2
CLIPS_BYTES = 12_000_000  # of all clips of a page: what a phone loads in seconds


def comparison_page(comparison: Comparison, dataset: VideoDataset | None) -> bytes:
    """The page, as a file holds it.

    Args:
      comparison: what the page shows.
      dataset: the data set whose clips it shows; None if it cannot be opened, which the page then says.
    """
    title = f"{len(comparison.entries)} runs on {comparison.title}"
    clips = _Clips(comparison, dataset)
    body = [
        "<main>",
        f"<h1>{text(title)}</h1>",
        f"<p>{len(comparison.predictions.videos):,} videos, {_classes(comparison)}</p>",
        f'<p class="lead">{text(verdict(comparison))}</p>',
        _section(
            "Runs",
            _table(runs_table(comparison), "The best first. On the Pareto front (bold), no run is as good for less."),
            _plots(comparison),
        ),
        _section("Pairs", _table(pairs_table(comparison), "The surest difference first; bold where the corrected p is below 0.05.")),
        _section("Agreement", _matrix(comparison)),
        _section("Where one is right and the other wrong", *_disagreements(comparison, clips), clips=True),
        _section("Videos that every run gets wrong", _hardest(comparison, clips), clips=True),
        _section("How this was made", _method(comparison)),
        "</main>",
    ]
    return page_of(title, "\n".join(body), styles=("comparison.css",), scripts=(SCRIPT,))


def _section(title: str, *parts: str, clips: bool = False) -> str:
    heading = f'<h2 class="clips-heading">{title}</h2>' if clips else f"<h2>{title}</h2>"
    return f"<section>{heading}{''.join(parts)}</section>"


def _classes(comparison: Comparison) -> str:
    counts = [f"{len(names)} {'classes' if not head else f'of {head}'}" for head, names in comparison.predictions.classes.items()]
    return text(", ".join(counts))


def _table(shown: Table, caption: str) -> str:
    return table(shown.columns, shown.rows, caption, marked=shown.marked) + meanings(shown.columns)


def _plots(comparison: Comparison) -> str:
    ranked, score = comparison.ranked, "mAP" if comparison.metric == "mAP" else "top-1"
    by_rank = "; ".join(
        f"{n} {entry.name} {percent(entry.score)} ({percent(entry.low)} to {percent(entry.high)})" for n, entry in enumerate(ranked, 1)
    )
    drawn = [figure(plots.intervals(ranked, score=score), _legend(comparison), alt=f"{score} by rank: {by_rank}")]
    for xlabel, caption, cost in (
        (
            "GMAC a video",
            "Score against arithmetic, with the Pareto front.",
            lambda entry: entry.costs.gmac_video,
        ),
        ("ms a video", "Score against time on this device.", lambda entry: _milliseconds(entry.costs.videos_per_second)),
        (
            "million parameters",
            "Score against size.",
            lambda entry: None if entry.costs.parameters is None else entry.costs.parameters / 1e6,
        ),
    ):
        uri = plots.against_cost(ranked, cost, xlabel=xlabel, score=score, joined=xlabel == "GMAC a video")
        if uri:
            drawn.append(figure(uri, caption, alt=f"{score} against {xlabel}, runs by rank; the table has the figures"))
    return f'<div class="grid">{"".join(drawn)}</div>'


def _legend(comparison: Comparison) -> str:
    diamonds = " Diamonds are ensembles." if any(entry.members for entry in comparison.entries) else ""
    return f"Scores with their intervals, by rank; filled points are on the Pareto front.{diamonds}"


def _milliseconds(rate: float | None) -> float | None:
    return None if not rate else 1000 / rate


def _matrix(comparison: Comparison) -> str:
    """Shares of equal predictions, with kappa below each."""
    names = [entry.name for entry in comparison.entries]
    equal, kappas = comparison.matrix()
    head = "".join(f'<th scope="col">{name(run)}</th>' for run in names)
    rows = []
    for i, run in enumerate(names):
        cells = "".join(_agreement(equal[i, j], kappas[i][j]) if i != j else "<td></td>" for j in range(len(names)))
        rows.append(f'<tr><th scope="row">{name(run)}</th>{cells}</tr>')
    caption = "Share of the videos for which two runs predict the same class, right or wrong; below it Cohen's kappa."
    head = f"<caption><span>{caption}</span></caption><thead><tr><td></td>{head}</tr></thead>"
    return scrolling(f"<table>{head}<tbody>{''.join(rows)}</tbody></table>", caption)


def _agreement(equal: float, kappa: float | None) -> str:
    return f'<td class="shade" style="--share:{equal:.3f}">{percent(equal, 0)}<small>{kappa_text(kappa)}</small></td>'


def _disagreements(comparison: Comparison, clips: "_Clips") -> Iterator[str]:
    """A part for each pair; the first are unfolded."""
    if not clips.playable:
        yield f"<p>{text(clips.why)}</p>"
    pairs = disagreements(comparison)
    if not pairs:
        yield "<p>The runs are right about the same videos.</p>"
    for number, (a, b) in enumerate(pairs):
        inner = "".join(_disagreement(found, clips) for found in (a, b) if found.count)
        title = f"{a.right} against {b.right}: {a.count} and {b.count} videos"
        opened = " open" if number < PAIRS_OPEN else ""
        yield f'<details class="pair"{opened}><summary>{text(title)}</summary><div class="grid">{inner}</div></details>'


def _disagreement(found: Disagreement, clips: "_Clips") -> str:
    title = f"{found.right} right, {found.wrong} wrong"
    return f"<div><h3>{text(title)}</h3>{clips.cards(found.videos, (found.right, found.wrong))}</div>"


def _hardest(comparison: Comparison, clips: "_Clips") -> str:
    hardest = comparison.hardest()
    if not hardest:
        return "<p>None: each video is right in some run.</p>"
    shown = min(HARDEST, len(hardest))
    which = "" if shown == len(hardest) else f" Shown are the {shown} whose right class got the lowest probability."
    said = f"{len(hardest):,} of {len(comparison.predictions.videos):,} videos.{which}"
    return f"<p>{said}</p>{clips.cards(hardest[:shown], tuple(entry.name for entry in comparison.entries))}"


def _method(comparison: Comparison) -> str:
    said = "".join(f"<li>{text(sentence)}</li>" for sentence in method(comparison))
    runs = "".join(f"<dt>{text(entry.name)}</dt><dd>{text(_origin(entry))}</dd>" for entry in comparison.entries)
    return f"<ul>{said}</ul><details><summary>Where the runs lie</summary><dl>{runs}</dl></details>"


def _origin(entry: Entry) -> str:
    if entry.members:
        return f"the mean of {', '.join(entry.members)}"
    step = "" if entry.step is None else f"step {entry.step}"
    trained = "" if entry.costs.trained_on is None else f"trained on {entry.costs.trained_on}"
    return "; ".join(part for part in (entry.path, entry.model, step, entry.seen, trained) if part)


@dataclasses.dataclass
class _Clips:
    """Cards of videos. Each clip is put into the page once and linked to afterwards, until CLIPS_BYTES are used.

    Attributes:
      comparison: what the runs predicted.
      dataset: the data set that has the videos.
      why: why clips cannot be shown; empty until one could not.
    """

    comparison: Comparison
    dataset: VideoDataset | None
    why: str = ""

    def __post_init__(self) -> None:
        self._left, self._shown = CLIPS_BYTES, set()
        if self.dataset is None:
            self.why = "The clips cannot be shown: their data set was not found; --data_dir says where it lies."

    @property
    def playable(self) -> bool:
        """Whether clips can be shown."""
        return not self.why

    def cards(self, videos: list[int], names: tuple[str, ...]) -> str:
        """Each video with its label and what these runs predict."""
        return f'<div class="clips">{"".join(self._card(video, names) for video in videos)}</div>'

    def _card(self, video: int, names: tuple[str, ...]) -> str:
        predictions = self.comparison.predictions
        label = ", ".join(predictions.labels_of(video)) or "none"
        said = "".join(
            f"<li{_right(predictions.right(name)[video])}>{text(f'{name}: {predictions.prediction_of(name, video)}')}</li>"
            for name in names
        )
        caption = (
            f'<figcaption>{text(predictions.videos[video])} is <strong>{text(label)}</strong><ul class="said">{said}</ul></figcaption>'
        )
        return f"{self._picture(video, label)}{caption}</figure>"

    def _picture(self, video: int, label: str) -> str:
        """The beginning of a card: the clip, or a link to where it is."""
        if video in self._shown:
            return f'<figure><p class="where"><a href="#clip-{video}">the clip is above</a></p>'
        if not self.playable or self._left <= 0:
            return "<figure>"
        try:
            uri = self._uri(video)
        except UserError as error:
            self.why = f"The clips cannot be shown: {error}"
            return f"<figure><p>{text(self.why)}</p>"
        self._left -= len(uri)
        self._shown.add(video)
        return f'<figure id="clip-{video}">{player(uri, f"Clip {self.comparison.predictions.videos[video]}, {label}")}'

    def _uri(self, video: int) -> str:
        predictions = self.comparison.predictions
        stored, uri = clip_as_uri(self.dataset, predictions.split, int(predictions.index[video]))
        if not predictions.videos[video].startswith(stored):
            raise UserError(
                f"number {predictions.index[video]} of data set {self.dataset.name} is {stored}, and not {predictions.videos[video]}"
            )
        return uri


def _right(right: bool) -> str:
    return ' class="right"' if right else ""
