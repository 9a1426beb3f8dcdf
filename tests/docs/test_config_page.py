"""The keys of an experiment, as docs/config.md and `vivit inspect --keys` have them."""

import pathlib

import pytest

from vivit_jax import cli
from vivit_jax.keys import experiment_keys

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_the_committed_page_is_made_from_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import write_config

    assert write_config.PAGE.read_text(encoding="utf-8") == write_config.page(), "run python docs/write_config.py"


@pytest.mark.parametrize("key", experiment_keys(), ids=lambda key: key.name)
def test_every_key_has_a_sentence_that_stands_alone(key):
    assert key.meaning.endswith(".")
    assert len(key.meaning.split()) > 2
    assert not key.meaning.startswith(("of ", "the same", "to another", "where given"))


def test_the_command_lists_the_keys_of_a_pattern(capsys):
    assert cli.main(["inspect", "--keys", "warmup"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("--config.") == 4
    assert "0.0" in printed
    assert cli.main(["inspect", "--keys", "optimizer.b?"]) == 0
    assert capsys.readouterr().out.count("--config.optimizer.b") == 2


def test_a_key_is_found_by_grep_and_nothing_of_it_is_cut(capsys):
    assert cli.main(["inspect", "--keys"]) == 0
    printed = capsys.readouterr().out
    lines, words = printed.splitlines(), " ".join(printed.split())
    for key in experiment_keys():
        assert any(line.startswith(f"--config.{key.name}  {key.type}") for line in lines)
        assert " ".join(key.meaning.split()) in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keys", "lerning"], "no key of an experiment is called 'lerning'"),
        (["--keys", "--config.model.family=vivid"], "unknown model.family 'vivid': did you mean 'vivit'?"),
    ],
)
def test_a_pattern_or_family_that_is_not_there_is_one_line(arguments, said, capsys):
    assert cli.main(["inspect", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
