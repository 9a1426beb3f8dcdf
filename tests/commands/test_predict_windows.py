"""Along a long video: each window as that part of the video alone would be predicted."""

import csv
import json

import numpy as np
import pytest

from vivit_jax import from_pretrained
from vivit_jax.data.video.reader import stream_frames
from vivit_jax.inference.predict import predict


@pytest.mark.parametrize("views", [(1, 1), (2, 3)])
def test_a_window_is_predicted_as_its_frames_alone(model_dir, videos, views):
    pretrained = from_pretrained(model_dir)
    frames = np.stack(list(stream_frames(videos[2])))  # 22 at 10 a second
    found = list(pretrained.predict_windows(videos[2], window=0.9, every=0.5, views=views))
    assert [(start, end) for start, end, _ in found] == [(0.0, 0.9), (0.5, 1.4), (1.0, 1.9), (1.5, 2.2)]
    for start, end, ranking in found:
        alone = predict(pretrained, frames[round(10 * start) : round(10 * end)], views=views)
        assert [label for label, _ in ranking] == [label for label, _ in alone]
        np.testing.assert_allclose([p for _, p in ranking], [p for _, p in alone], rtol=1e-4)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_what_python_says(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "new" / "rows.csv"
    code, text, err = vivit("predict", "--model", model_dir, *videos, "--window", "500ms", "--every", "0.25", "--top_k", "2", "--out", out)
    assert (code, err) == (0, "")
    assert out.read_text().splitlines()[0] == "video,start,end,label,probability"
    pretrained = from_pretrained(model_dir)
    expected = [
        (video, start, end, label, pytest.approx(probability, rel=1e-4))
        for video in videos
        for start, end, ranking in pretrained.predict_windows(video, 0.5, 0.25, top_k=2)
        for label, probability in ranking
    ]
    rows = [(r["video"], float(r["start"]), float(r["end"]), r["label"], float(r["probability"])) for r in rows_of(out)]
    assert rows == expected
    assert f"{len(rows)} rows added to {out}" in text
    lines = tmp_path / "rows.jsonl"
    vivit("predict", "--model", model_dir, *videos, "--window", "500ms", "--every", "0.25", "--top_k", "2", "--out", lines)
    assert [tuple(json.loads(line).values()) for line in lines.read_text().splitlines()] == expected


def test_several_heads_have_a_column(two_headed_model_dir, videos, tmp_path, vivit):
    out = tmp_path / "rows.csv"
    assert vivit("predict", "--model", two_headed_model_dir, videos[0], "--window", "1s", "--out", out)[0] == 0
    assert [(row["start"], row["head"]) for row in rows_of(out)] == [("0", "verb"), ("0", "noun"), ("1", "verb"), ("1", "noun")]


def test_whole_videos_have_a_row_each(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "rows.csv"
    code, _, err = vivit("predict", "--model", model_dir, *videos, tmp_path / "missing.mp4", "--views", "2x1", "--out", out)
    assert code == 2
    assert "missing.mp4" in err.splitlines()[0]
    pretrained = from_pretrained(model_dir)
    for row, video, end in zip(rows_of(out), videos, ("1.2", "1.7", "2.2"), strict=True):
        ((label, probability),) = pretrained.predict(video, top_k=1, views=(2, 1))
        assert (row["video"], row["start"], row["end"], row["label"]) == (video, "0", end, label)
        assert float(row["probability"]) == pytest.approx(probability, rel=1e-4)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_was_cut_off_is_done_and_nothing_else(suffix, model_dir, videos, tmp_path, vivit):
    out = tmp_path / f"rows.{suffix}"
    command = ("predict", "--model", model_dir, *videos, "--window", "0.5", "--every", "0.2", "--top_k", "2", "--out", out)
    assert vivit(*command)[0] == 0
    whole = out.read_bytes()
    scored = []
    for end in (9, len(whole) // 2, len(whole) - 1, len(whole)):
        out.write_bytes(whole[:end])
        code, text, _ = vivit(*command)
        assert (code, out.read_bytes()) == (0, whole), end
        scored.append(int(text.split(" rows added")[0].splitlines()[-1]))
    assert scored == sorted(scored, reverse=True)
    assert scored[-1] <= 2
