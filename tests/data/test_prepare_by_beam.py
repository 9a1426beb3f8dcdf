"""`vivit prepare --beam`: the same data set as without, by Beam's own runner in processes of its own."""

import hashlib
import importlib.util

import listed_films
import pytest

from vivit_jax import extras
from vivit_jax.cli import main
from vivit_jax.data.preparation.prepare import prepare

OPTIONS = "--runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing"
here = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not here, reason="the extra beam is not installed")


def hashes(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Whole videos and segments of one, in three splits, and one that cannot be read."""
    splits = ("train", "train", "test") * 3
    return listed_films.with_segments(tmp_path_factory.mktemp("videos"), splits, (12, 32, 40), long=(75, 32, 32), split="val")


@needs_beam
@pytest.mark.slow
@pytest.mark.parametrize("options", [OPTIONS, ""])
def test_the_result_is_that_of_this_machine_alone_bit_for_bit(videos, tmp_path, options):
    alone = prepare("csv", videos, name="mine", data_dir=tmp_path / "alone", tolerate=1, workers=1)
    beam = prepare("csv", videos, name="mine", data_dir=tmp_path / "beam", tolerate=1, beam_options=options)
    assert hashes(tmp_path / "beam") == hashes(tmp_path / "alone")
    for field in ("counts", "stored", "seconds_of_video", "bytes", "refused", "changed", "remarks"):
        assert getattr(beam, field) == getattr(alone, field), field


@needs_beam
@pytest.mark.slow
def test_refused_videos_end_it_in_one_line_and_nothing_is_left(videos, tmp_path, capfd):
    command = ["prepare", "csv", str(videos), "--name", "mine", "--data_dir", str(tmp_path / "data"), "--beam"]
    assert main(command) == 2
    assert "1 of 13 videos cannot be stored, 0 tolerated" in capfd.readouterr().err
    only = videos.with_name("only.csv")
    only.write_text("path,label,split\n0.mp4,a,train\nbroken.mp4,a,test\n")
    assert main(["prepare", "csv", str(only), *command[3:], "--tolerate", "1"]) == 2
    assert "every video of test was refused" in capfd.readouterr().err
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.skipif(here, reason="the extra beam is installed")
def test_without_the_extra_it_is_named(videos, tmp_path, capfd):
    assert main(["prepare", "csv", str(videos), "--name", "mine", "--data_dir", str(tmp_path), "--beam"]) == 2
    assert f"--beam needs the extra beam: {extras.install('beam')}" in capfd.readouterr().err


def test_options_without_beam_are_refused(videos, tmp_path, capfd):
    assert main(["prepare", "csv", str(videos), "--name", "mine", "--data_dir", str(tmp_path), "--beam_options=--x=1"]) == 2
    assert "--beam_options has no effect without --beam" in capfd.readouterr().err
