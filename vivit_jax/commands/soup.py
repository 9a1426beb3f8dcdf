"""Averages models that began with the same weights, such as several seeds of one recipe, into one model.

Example:
  vivit soup runs/seed0 runs/seed1 runs/seed2 --to models/soup --name my_videos --data_dir data
  vivit soup runs/seed0 --checkpoints --to models/soup --name my_videos --data_dir data --split val
  vivit soup runs/seed0 runs/seed1 --uniform --to models/soup
  vivit evaluate --model models/soup --name my_videos --data_dir data

The soup is greedy (Wortsman et al. 2022): the model with the best score on the split comes first, and each of the others is added, in the
order of their scores, if the average does not score lower for it. So its score on that split is too good: score it on test with
`vivit evaluate`. Models of different networks, classes or preprocessing are refused. The average of models that began with different
weights is useless, as its score shows.
"""

import argparse
import typing

from rich.table import Table

from vivit_jax import console
from vivit_jax.accelerators import tell_of_unused_gpu
from vivit_jax.commands.arguments import add_dataset, add_views, check_model_place, output, positive, refuse_unused
from vivit_jax.errors import UserError

if typing.TYPE_CHECKING:
    from vivit_jax.runs.soup import Soup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit soup`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's work directory, whose model/ is taken, or a model directory")
    parser.add_argument("--to", required=True, metavar="DIR", type=output, help="the model directory to write")
    add_dataset(parser)
    parser.add_argument("--split", default="val", help="split that decides which models are kept (default: val)")
    parser.add_argument("--checkpoints", action="store_true", help="take every whole checkpoint of the runs instead of their model/")
    parser.add_argument("--uniform", action="store_true", help="average all of them, without scores; needs no data set")
    add_views(parser, default=(1, 1), otherwise="1x1")
    parser.add_argument("--batch_size", type=positive, default=8, metavar="N", help="videos at once (default: 8)")


def run(arguments: argparse.Namespace) -> None:
    """Averages, writes the model directory and tells what it is made of.

    Raises:
      UserError: for models that do not exist or do not fit, or a missing data set.
    """
    from vivit_jax.data.dataset import ensure_dataset
    from vivit_jax.runs.soup import greedy_soup, ingredients_of, uniform_soup

    if bool(arguments.name) == arguments.uniform:
        raise UserError("give --name, the data set that decides which models are kept (and --data_dir), or else --uniform")
    if arguments.uniform:
        refuse_unused(arguments, ("split", "views", "batch_size"), "with --uniform, which scores nothing")
    check_model_place(arguments.to)
    ingredients = ingredients_of(arguments.runs, checkpoints=arguments.checkpoints)
    if arguments.uniform:
        soup = uniform_soup(ingredients)
    else:
        tell_of_unused_gpu()
        dataset = ensure_dataset(arguments.name, arguments.data_dir)
        soup = greedy_soup(ingredients, dataset, arguments.split, views=arguments.views, batch_size=arguments.batch_size)
    soup.pretrained.save(arguments.to)
    _tell(soup, arguments)


def _tell(soup: "Soup", arguments: argparse.Namespace) -> None:
    if soup.scores:
        table = Table("model", "alone", "", box=None)
        for name, score in soup.scores.items():
            table.add_row(console.verbatim(name), f"{score:.4f}", "kept" if name in soup.kept else "left out")
        console.show(table)
    on_split = "" if soup.score is None else f": {soup.score:.4f} on {arguments.split}"
    averaged = f"the average of {len(soup.kept)} models" if len(soup.kept) > 1 else f"{soup.kept[0]} alone, which no average came up to"
    console.say(f"{averaged}{on_split}", style="bold")
    console.say(f"model written to {arguments.to}")
