"""Along a long video: each window as that part of the video alone would be predicted."""

import csv
import io
import json
import os
import pty
import subprocess
import sys

import av
import numpy as np
import pytest
from toys import random_video

from vivit_jax import from_pretrained
from vivit_jax.data.video.reader import stream_frames
from vivit_jax.inference.predict import predict
from vivit_jax.inference.smoothing import smoothed
from vivit_jax.inference.timeline import Timeline
from vivit_jax.inference.windows import WindowScores


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


def test_a_video_that_was_cut_off_is_not_forgotten_over_another(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "rows.csv"
    options = ("predict", "--model", model_dir, "--window", "0.5", "--out", out)
    assert vivit(*options, videos[2])[0] == 0
    whole = rows_of(out)
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:3]))
    assert vivit(*options, videos[0])[0] == 0
    assert vivit(*options, videos[2], videos[0])[0] == 0
    assert [row for row in rows_of(out) if row["video"] == videos[2]] == whole
    assert json.loads((tmp_path / "rows.csv.json").read_text())["failed"] == {}


@pytest.mark.parametrize(("suffix", "line"), [("csv", "a,note\n"), ("csv", "a,soon,1,cat,1\n"), ("jsonl", "a note\n"), ("jsonl", "[]\n")])
def test_a_line_of_another_hand_is_not_cut_off(suffix, line, model_dir, videos, tmp_path, vivit):
    out = tmp_path / f"rows.{suffix}"
    command = ("predict", "--model", model_dir, videos[0], "--window", "0.5", "--out", out)
    assert vivit(*command)[0] == 0
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join([*lines[:2], line, *lines[2:]]))
    before = out.read_bytes()
    code, _, err = vivit(*command)
    assert (code, err.count("\n"), out.read_bytes()) == (2, 1, before)
    assert "not one of its rows" in err


def test_what_would_not_fit_is_refused(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "rows.csv"
    command = ("predict", "--model", model_dir, videos[0], "--out", out)
    assert vivit(*command, "--window", "1s")[0] == 0
    before = out.read_bytes()
    for options, told in [
        (("--window", "500ms"), "was begun with window 1.0, not 0.5"),
        (("--window", "1s", "--top_k", "2"), "was begun with top_k 1, not 2"),
        ((), "was begun with"),
        (("--window", "1s", "--json"), "give one of them"),
        (("--every", "1s"), "needs --window"),
        (("--window", "2x"), "such as 2s"),
    ]:
        code, _, err = vivit(*command, *options)
        assert (code, err.count("\n"), out.read_bytes()) == (2, 1, before)
        assert told in err
    assert vivit(*command, "--window", "500ms", "--overwrite")[0] == 0
    assert len(rows_of(out)) == 3
    (tmp_path / "mine.csv").write_text("of another hand\n")
    code, _, err = vivit(*command[:-1], tmp_path / "mine.csv", "--window", "1s")
    assert (code, "does not say how to resume" in err) == (2, True)


def test_a_file_that_only_lies_beside_is_not_written_over(model_dir, videos, tmp_path, vivit):
    (tmp_path / "rows.csv.json").write_text("notes")
    code, _, err = vivit("predict", "--model", model_dir, videos[0], "--out", tmp_path / "rows.csv")
    assert (code, (tmp_path / "rows.csv.json").read_text()) == (2, "notes")
    assert "rows.csv.json is of another kind" in err


def test_a_terminal_is_no_video(model_dir, tmp_path, vivit, monkeypatch):
    (tmp_path / "list.txt").write_text("-\n")
    _, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        code, _, err = vivit("predict", "--model", model_dir, "--list", tmp_path / "list.txt", "--window", "1s")
    assert (code, err.count("\n")) == (2, 1)
    assert "which is a terminal here" in err


@pytest.mark.slow  # three commands start for it
def test_standard_input_is_read_as_it_comes_or_to_its_end(model_dir, videos, tmp_path):
    pretrained = from_pretrained(model_dir)
    command = [sys.executable, "-m", "vivit_jax", "predict", "--model", str(model_dir), "--json", "--top_k", "1", "-"]
    camera = tmp_path / "camera.mkv"  # of half a minute: FFmpeg looks at some seconds before it begins
    with av.open(io.BytesIO(random_video(9, frames=300))) as source, av.open(str(camera), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with subprocess.Popen([*command, "--window", "3s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(camera.read_bytes())
        process.stdin.flush()
        first = process.stdout.readline()  # while the pipe is still open
        process.stdin.close()
        rest = process.stdout.read().splitlines()  # not by `communicate`, which knows nothing of what `readline` has read ahead
    rows = [json.loads(line) for line in (first, *rest)]
    expected = list(pretrained.predict_windows(camera, 3.0, top_k=1))
    assert [(row["video"], row["start"], row["end"]) for row in rows] == [("-", start, end) for start, end, _ in expected]
    assert [row["predictions"][0]["label"] for row in rows] == [ranking[0][0] for *_, ranking in expected]
    with open(videos[1], "rb") as video:  # noqa: PTH123
        whole = subprocess.run(command, stdin=video, capture_output=True, check=True)
    (row,) = json.loads(whole.stdout)
    assert (row["video"], row["predictions"][0]["label"]) == ("-", pretrained.predict(videos[1], top_k=1)[0][0])


def test_smoothing_is_a_mean_over_the_windows_around():
    rng = np.random.default_rng(0)
    scores = [WindowScores(i, 0.5 * i, 0.5 * i + 1, {"": rng.random(3)}) for i in range(11)]
    for seconds, beside in [(1.0, 1), (1.9, 1), (2.0, 2), (100.0, 11)]:
        batches = [scores[:4], scores[4:5], scores[5:]]
        found = [one for batch in smoothed(batches, seconds) for one in batch]
        assert [(one.number, one.start) for one in found] == [(one.number, one.start) for one in scores]
        for i, one in enumerate(found):
            expected = np.mean([other.probabilities[""] for other in scores[max(0, i - beside) : i + beside + 1]], axis=0)
            np.testing.assert_allclose(one.probabilities[""], expected)


def test_smoothed_rows_are_gone_on_with(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "rows.csv"
    command = ("predict", "--model", model_dir, videos[2], "--window", "0.5", "--every", "0.2", "--smooth", "0.6", "--out", out)
    assert vivit(*command)[0] == 0
    whole = out.read_text()
    out.write_text("".join(whole.splitlines(keepends=True)[:6]))
    assert vivit(*command)[0] == 0
    assert out.read_text() == whole
    plain = [(start, ranking) for start, _, ranking in from_pretrained(model_dir).predict_windows(videos[2], 0.5, 0.2)]
    means = {label: np.mean([dict(ranking)[label] for _, ranking in plain[2:5]]) for label in dict(plain[0][1])}
    row = rows_of(out)[3]
    assert (float(row["start"]), row["label"]) == (plain[3][0], max(means, key=means.get))
    assert float(row["probability"]) == pytest.approx(max(means.values()), rel=1e-5)


def test_a_plot_has_the_leading_classes_and_times_as_read(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "plots" / "scores.svg"
    code, text, err = vivit("predict", "--model", model_dir, videos[0], "--window", "0.5", "--every", "0.1", "--plot", out)
    assert (code, err) == (0, f"scores over time drawn in {out}\n")
    assert "0:00 - 0:00.5" in text
    timeline = Timeline(("cat", "dog", "owl"))
    for i in range(10_000):
        timeline.add(WindowScores(i, 0.5 * i, 0.5 * i + 1, {"": np.array([i >= 5000, i < 5000, 0.0])}))
    timeline.save(tmp_path / "long.svg", "a film")
    drawn = (tmp_path / "long.svg").read_text()
    assert out.stat().st_size > 1000
    assert all(f"<!-- {word} -->" in drawn for word in ("cat", "dog", "owl", "a film", "0:00", "1:00:00"))


def test_a_parquet_file_appears_when_all_is_done(model_dir, videos, tmp_path, vivit):
    parquet = pytest.importorskip("pyarrow.parquet")
    out, lines = tmp_path / "rows.parquet", tmp_path / "rows.jsonl"
    command = ("predict", "--model", model_dir, *videos, tmp_path / "missing.mp4", "--window", "0.5", "--out")
    assert (vivit(*command, out)[0], vivit(*command, lines)[0]) == (2, 2)
    expected = [json.loads(line) for line in lines.read_text().splitlines()]
    assert parquet.read_table(out).to_pylist() == [{**row, "probability": pytest.approx(row["probability"], rel=1e-6)} for row in expected]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows.jsonl.json", "rows.parquet"]
