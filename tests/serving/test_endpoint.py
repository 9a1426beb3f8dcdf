"""What `POST /api/predict` answers, against what the package's own functions say of the same file."""

import base64
import concurrent.futures
import dataclasses
import io
import re
import socket
import tempfile

import films
import numpy as np
import pytest
from client import form, serving
from PIL import Image
from system_limits import largest_file
from toys import CONFIG, PREPROCESS, random_variables, random_video

import vivit_jax
from vivit_jax.data.sampling import views_of_video
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.inference.explain import explain
from vivit_jax.inference.predict import predict
from vivit_jax.serving.answers import LARGEST_SHEET, picture
from vivit_jax.serving.limits import ServingLimits
from vivit_jax.serving.models import load_models
from vivit_jax.weights import save_pretrained


def ranking(result):
    return [(row["label"], row["probability"]) for row in result["predictions"]]


@pytest.mark.parametrize("views", [(2, 1), (1, 3)])
def test_it_answers_as_predict_does(server, model_dirs, video, tmp_path, views):
    (tmp_path / "clip.mp4").write_bytes(video)
    answer = server.predict(video, f"top_k=2&views={views[0]}x{views[1]}")
    assert answer.status == 200
    assert [result["model"] for result in answer.json["results"]] == ["token", "mean"]
    for result, path in zip(answer.json["results"], model_dirs, strict=True):
        assert ranking(result) == vivit_jax.from_pretrained(path).predict(tmp_path / "clip.mp4", top_k=2, views=views)
    assert answer.json["video"] == {"name": "clip.mp4", "frames": 24, "seconds": 2.4, "width": 32, "height": 24}


def test_details_are_the_frames_seen_their_evidence_and_the_score_along_the_video(server, models, video, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(video)
    (result,) = server.predict(video, "details=true&model=token&label=owl").json["results"]
    pretrained = models[0].pretrained

    seen = views_of_video(path, pretrained.preprocess)[0]
    clip = result["clip"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(clip["picture"].partition(",")[2]))))
    assert clip["picture"].startswith("data:image/png;") and clip["frames"] == 4
    for number, frame in enumerate(seen):
        row, column = divmod(number, clip["columns"])
        np.testing.assert_array_equal(sheet[16 * row : 16 * row + 16, 16 * column : 16 * column + 16], frame)
    np.testing.assert_allclose(clip["times"], [0.8, 1.0, 1.2, 1.4], atol=1e-6)

    expected = explain(pretrained, path, label="owl", max_steps=ServingLimits().gradients)
    evidence = result["evidence"]
    assert evidence["label"] == "owl"
    np.testing.assert_allclose(np.reshape(evidence["tokens"], evidence["shape"]), expected.relevance.tokens, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose([evidence["score"], evidence["blank"]], [expected.relevance.score, expected.relevance.blank], rtol=1e-4)

    full = expected.full_colour
    assert evidence["full_colour"] == (pytest.approx(full, rel=1e-3) if np.isfinite(full) else None)

    along, frames = result["along"], decode_frames(path, range(24))
    for curve in along["curves"]:
        for place in (0, 11):  # the first clip of 12 begins with the video, the last ends with it
            start = round(10 * along["starts"][place])
            said = dict(predict(pretrained, frames[start : start + 7], views=(1, 1)))
            np.testing.assert_allclose(curve["probabilities"][place], said[curve["label"]], atol=2e-4)
    assert along["starts"][0] == 0 and along["ends"][-1] == pytest.approx(2.3)


def test_the_picture_of_a_long_clip_is_bounded():
    frames = np.random.default_rng(0).integers(0, 256, (1500, 224, 224, 3), np.uint8)
    sheet = picture(frames)
    image = Image.open(io.BytesIO(base64.b64decode(sheet["picture"].partition(",")[2])))
    assert image.width * image.height < 1.2 * LARGEST_SHEET
    assert (sheet["frames"], image.width) == (1500, sheet["columns"] * sheet["width"])
    assert picture(frames[:32])["width"] == 224, "as it is"


def test_a_short_video_has_no_score_along_it(server):
    (result,) = server.predict(random_video(0, frames=6), "details=1&model=token").json["results"]
    assert result["along"] is None
    assert result["clip"]["frames"] == 3  # then it starts over


@pytest.mark.fault(
    promise="A hostile upload costs the server one line",
    provoked="uploads of an empty file, text, a playlist, sound alone, frames of 4000 x 2400 pixels, a file cut short, and noise",
    seen="422 with one line that names the upload and no path; the next upload is answered",
    trials=7,
)
def test_broken_files_are_refused_in_one_line(server, video, tmp_path):
    broken = {
        "empty.mp4": b"",
        "text.mp4": b"no video\n" * 100,
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "sound.mp4": films.only_sound(tmp_path / "sound.mp4").read_bytes(),
        "huge.mp4": films.write(tmp_path / "huge.mp4", np.zeros((2, 2400, 4000, 3), np.uint8)).read_bytes(),
        "short.mp4": video[:200],
        "noise.mp4": np.random.default_rng(0).bytes(5000),
    }
    for name, contents in broken.items():
        answer = server.predict(contents, name=name, query="model=token")
        assert answer.status == 422, (name, answer.body)
        assert re.match(rf"{name}: \w", answer.error)
        assert "/tmp" not in answer.error and "upload-" not in answer.error
    assert server.predict(video, "model=token").status == 200


def test_wrong_requests_say_what_to_send(server, video):
    def posted(*parts):
        body, kind = form(*parts)
        return server.ask("POST", "/api/predict", body, {"Content-Type": kind})

    assert re.match("top_k must be", server.predict(video, "top_k=0").error)
    assert "unknown parameter 'topk': did you mean 'top_k'" in server.predict(video, "topk=1").error
    assert re.match("a parameter must be at most 300", server.predict(video, f"label={400 * 'x'}").error)
    assert re.match("views must be at most 60", server.predict(video, "views=10x10").error)
    assert re.match("views must be temporal", server.predict(video, "views=4").error)
    assert "unknown model 'tokn': did you mean 'token'" in server.predict(video, "model=tokn").error
    assert "unknown label 'fox'" in server.predict(video, "label=fox").error
    assert re.match("there is no video", posted(("other", "clip.mp4", video)).error)
    assert re.match("there are several", posted(("file", "a.mp4", video), ("file", "b.mp4", video)).error)
    long = posted(("file", 10_000 * "x", video))  # python-multipart before 0.0.27 gathers a header of any length, in ever larger copies
    assert (long.status, long.error) == (400, "the form cannot be read: send multipart/form-data")
    broken_off = server.ask("POST", "/api/predict", form(("file", "a.mp4", video))[0][:-20], {"Content-Type": form()[1]})
    assert (broken_off.status, broken_off.error) == (400, "the form breaks off: send it again")
    assert server.ask("POST", "/api/predict", video, {"Content-Type": "video/mp4"}).status == 415
    long = server.ask("POST", "/api/predict", video, {"Content-Type": f"multipart/form-data; boundary={300 * 'x'}"})
    assert (long.status, long.error) == (400, "the form cannot be read: send multipart/form-data")
    assert server.get("/api/predict").status == 405
    assert server.get("/nothing").status == 404
    assert server.get("/static/..%2fapp.py").status == 404


def test_too_large_an_upload_is_refused(models, video):
    with serving(models, limits=ServingLimits(upload_bytes=3_000_000)) as server:
        for body in (bytes(5_000_000), iter([bytes(1_000_000)] * 5)):  # with its length declared, and without
            answer = server.ask("POST", "/api/predict", form_around(body), {"Content-Type": form()[1]})
            assert (answer.status, answer.error) == (413, "the upload is too large: this server takes at most 3 MB")
        assert server.predict(video, "model=token").status == 200


@pytest.mark.parametrize("size", [3_000_000, 1_000_500])  # the disk is full while the file comes in, and when its last bytes are flushed
def test_a_full_disk_is_told(size, server, video):
    with largest_file(1_000_000):
        answer = server.predict(bytes(size))
    assert (answer.status, answer.error) == (507, "the server cannot store the upload (File too large)")
    assert server.predict(video, "model=token").status == 200


def test_a_folder_of_uploads_that_was_cleaned_away_is_made_again(models, video, tmp_path, monkeypatch):
    """As by a system that clears old temporary files, under a server that runs for weeks."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving(models) as server:
        next(tmp_path.glob("uploads-*")).rmdir()
        assert server.predict(video).status == 200


def form_around(body):
    before, after = form(("file", "large.mp4", b"|"))[0].split(b"|")
    return before + body + after if isinstance(body, bytes) else iter([before, *body, after])


def test_an_upload_that_stops_coming_gives_its_place_back(models, video):
    body, kind = form(("file", "clip.mp4", video))
    for limits, reason in (
        (ServingLimits(silence_seconds=0.2), "nothing came for 0.2 s: send it again"),
        (ServingLimits(upload_seconds=0.2), "the upload took longer than 0.2 s"),
    ):
        with serving(models, limits=limits) as server, socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            head = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:500])
            answer = b""
            while reason.encode() not in answer:
                answer += connection.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert server.get("/healthz").json["requests"] == 0


def test_names_are_in_one_harmless_line(server, video):
    name = "../../a\u202eb\x1b[2J<img src=x onerror=alert(1)>" + 100 * "x" + ".mp4"
    shown = server.predict(video, "model=token", name=name).json["video"]["name"]
    assert shown.startswith("a\\u202eb\\x1b[2J<img src=x")  # the page shows text as text
    assert shown.isprintable() and len(shown) == 80


def test_fifty_at_once_are_each_answered_or_sent_away(server, models):
    videos = [random_video(seed, frames=12) for seed in range(5)]
    alone = [ranking(server.predict(video, "model=token").json["results"][0]) for video in videos]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: (number % 5, server.predict(videos[number % 5], "model=token")), range(50)))
    right = [number for number, answer in answers if answer.status == 200]
    for number, answer in answers:
        if answer.status == 200:
            assert ranking(answer.json["results"][0]) == alone[number]
        else:
            assert answer.status == 503 and 1 <= int(answer.headers["Retry-After"]) <= 120
    assert len(right) >= 1 + ServingLimits().waiting
    assert server.get("/healthz").json == {"status": "ok", "requests": 0}


@pytest.mark.parametrize(
    ("sampling", "stride", "rate"), [({}, PREPROCESS.stride, None), ({"rate": 12.5}, None, 12.5), ({"sampling": "segments"}, None, None)]
)
def test_a_model_tells_the_stride_or_the_rate_that_holds(sampling, stride, rate, models):
    preprocess = dataclasses.replace(PREPROCESS, **sampling)
    clip = dataclasses.replace(models[0], pretrained=dataclasses.replace(models[0].pretrained, preprocess=preprocess)).to_dict()["clip"]
    assert (clip["stride"], clip["rate"]) == (stride, rate)


def test_a_model_without_a_head_is_not_served(tmp_path):
    config = dataclasses.replace(CONFIG, num_classes=None)
    path = save_pretrained(tmp_path / "headless", config, random_variables(config), PREPROCESS, None)
    with pytest.raises(UserError, match="the model has no head"):
        load_models([str(path)])
