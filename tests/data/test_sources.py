"""Which videos a person means by files, folders, patterns and lists."""

import pytest

from vivit_jax.data.sources import find_videos
from vivit_jax.errors import UserError


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("b.mp4", "a/2.MKV", "a/10.avi", "a/deep/x.webm", "a/notes.txt", "a/.hidden.mp4", "a/.hidden/y.mp4", "[odd].mp4", "readme"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "videos", "aside"),
    [
        (["a"], ["a/10.avi", "a/2.MKV", "a/deep/x.webm"], ["a/notes.txt"]),
        (["a/*"], ["a/10.avi", "a/2.MKV", "a/deep/x.webm"], ["a/notes.txt"]),
        (["**/*.[ma]*"], ["[odd].mp4", "a/10.avi", "b.mp4"], []),
        (["[odd].mp4", "readme", "gone.mp4", "-"], ["[odd].mp4", "readme", "gone.mp4", "-"], []),
        (["a/2.MKV", "a", "b.mp4", "b.mp4"], ["a/2.MKV", "a/10.avi", "a/deep/x.webm", "b.mp4", "b.mp4"], ["a/notes.txt"]),
    ],
)
def test_what_is_named_is_found(sources, videos, aside, place):
    found = find_videos(sources)
    assert (list(found.videos), list(found.aside)) == (videos, aside)
    assert found.remark == ("1 file left aside, not videos by their name: notes.txt" if aside else "")


def test_links_that_lead_nowhere_are_taken_and_those_to_folders_told(place):
    (place / "a/gone.mp4").symlink_to("nothing.mp4")
    (place / "a/linked").symlink_to(place / "a/deep")
    for source in ("a", "a/*"):
        assert "a/gone.mp4" in find_videos([source]).videos
    found = find_videos(["a"])
    assert list(found.videos) == ["a/10.avi", "a/2.MKV", "a/deep/x.webm", "a/gone.mp4"]
    assert found.remark == "1 file left aside, not videos by their name: notes.txt; 1 link to folders not followed: linked"


def test_a_list_has_a_source_a_line(place):
    (place / "list.txt").write_text("\ufeffb.mp4\r\n\na\n", encoding="utf-8")
    assert list(find_videos(["readme"], ["list.txt"]).videos) == ["readme", "b.mp4", "a/10.avi", "a/2.MKV", "a/deep/x.webm"]


@pytest.mark.parametrize(
    ("sources", "lists", "told"),
    [
        (["*.ogv"], [], r"^\*.ogv: no video matches this pattern"),
        (["empty"], [], "^empty: no videos in this folder"),
        ([], ["gone.txt"], "gone.txt: No such file"),
        ([], ["blank.txt"], "blank.txt: the list is empty"),
        (
            [],
            ["table.csv"],
            "table.csv: none of its 2 lines is a path that is there, from .*: expected a path alone on each, got 'path,label'",
        ),
    ],
)
def test_what_finds_nothing_is_told(sources, lists, told, place):
    (place / "empty").mkdir()
    (place / "blank.txt").write_text("\n\n")
    (place / "table.csv").write_text("path,label\nb.mp4,run\n")
    with pytest.raises(UserError, match=told):
        find_videos(sources, lists)
