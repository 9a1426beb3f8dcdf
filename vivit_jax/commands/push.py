"""Puts a model on the Hugging Face hub, with a model card.

The repository gets the three files of the model directory and a card, README.md, which replaces one that was there. The card has the
classes, the data set, the recipe and step, where the weights came from, the scores with their intervals, and what is not claimed. The
facts come from the run that the model is in, or from an evaluation.json beside the model. `vivit_jax.from_pretrained("hf://org/name")`
reads the model back.
Pushing needs a token that may write: `hf auth login`, or HF_TOKEN.

Example:
  vivit push --model runs/clips/model my-lab/clips --private
  vivit push --model runs/clips/model my-lab/clips --card card.md
"""

import argparse
import pathlib

from vivit_jax.atomic import write_output
from vivit_jax.commands.arguments import output_file, refuse_unused
from vivit_jax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `vivit push`."""
    parser.add_argument("--model", required=True, type=pathlib.Path, metavar="DIR", help="a model directory")
    parser.add_argument("repository", metavar="ORG/NAME", help="the repository, made if there is none")
    parser.add_argument("--private", action="store_true", help="make a new repository private, and refuse to push to a public one")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to push to, made if there is none (default: main)")
    parser.add_argument("--message", metavar="TEXT", help="message of the commit")
    parser.add_argument("--card", type=output_file, metavar="FILE", help="write the card to this new file to look at, and push nothing")


def run(arguments: argparse.Namespace) -> None:
    """Pushes, and says where the model is.

    Raises:
      UserError: for what is no model, a file of --card that exists, or whatever the hub refuses.
    """
    from vivit_jax.runs.model_card import model_card
    from vivit_jax.weights.hub import push, repository_named
    from vivit_jax.weights.model_dir import load_model_dir

    if arguments.card:
        refuse_unused(arguments, ("private", "revision", "message"), "with --card, which pushes nothing")
    repository = repository_named(arguments.repository)
    if arguments.card and arguments.card.exists():
        raise UserError(f"{arguments.card} exists already: give --card a new file")
    card = model_card(arguments.model, load_model_dir(arguments.model), repository)
    if arguments.card:
        write_output(arguments.card, card)
        print(f"wrote {arguments.card}; nothing is pushed")
        return
    address = push(arguments.model, repository, card, private=arguments.private, revision=arguments.revision, message=arguments.message)
    print(f"pushed {address}")
    print(f'from_pretrained("hf://{repository}{f"@{arguments.revision}" if arguments.revision else ""}") reads it')
