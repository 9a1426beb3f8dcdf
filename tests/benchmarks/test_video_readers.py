"""`benchmarks/video_readers.py`: its peers read the frames that ours reads, and one that is not there is told apart."""

import films
import pytest
import video_readers

pytestmark = pytest.mark.slow


def test_peers_read_the_frames_that_ours_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(video_readers, "LENGTH", 80)
    film = tmp_path / "film.mp4"
    films.write(film, films.scene(40, 256, 340))
    video_readers.make_files([film], tmp_path / "files", 2)
    for files in video_readers.SETS:
        clips = video_readers.clips_of(tmp_path / "files" / files)
        assert len(clips) == 2
        assert video_readers.difference(video_readers.ours(), clips) == {"mean": 0.0, "largest": 0, "other frames": 0}
        for peer in (video_readers.opencv, video_readers.pyav):
            apart = video_readers.difference(peer(), clips)
            assert apart["mean"] < 2
            assert not apart["other frames"]


def test_a_reader_that_does_not_start_answers_nothing(tmp_path):
    with video_readers.Served("no such reader", tmp_path) as reader:
        assert reader.ask("pixels") is None
