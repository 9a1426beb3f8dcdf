"""What our speed is compared with must be the same network, and what is fitted must be the slope."""

import dataclasses
import json

import clip_length
import peers
import pytest
import side_by_side


@pytest.fixture
def tiny_case():
    return side_by_side.Case("train", 2, "tiny", steps=2, activation="gelu_fast", compile_mode="default")


def test_all_peers_are_the_same_network(tiny_case):
    from vivit_jax.analysis import complexity

    pytest.importorskip("torch")
    config = peers.our_config(peers.SIZES["tiny"])
    for library, make in (("timm", peers.make_timm), ("transformers", peers.make_hugging_face)):
        pytest.importorskip(library)
        parameters = sum(parameter.numel() for parameter in make(tiny_case).parameters())
        assert parameters == complexity.count_parameters(config), library


def test_peers_attend_by_sdpa(tiny_case, monkeypatch):
    torch = pytest.importorskip("torch")
    real, calls = torch.nn.functional.scaled_dot_product_attention, []
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(a[0].shape) or real(*a, **k), raising=True
    )
    size = peers.SIZES["tiny"]
    for library, make in (("timm", peers.make_timm), ("transformers", peers.make_hugging_face)):
        pytest.importorskip(library)
        calls.clear()
        logits = make(tiny_case)(torch.rand(2, *size.clip, 3))
        assert logits.shape == (2, size.classes)
        assert calls == [(2, size.heads, size.tokens, size.width // size.heads)] * size.layers, library


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_a_step_of_a_peer_is_timed(mode, tiny_case):
    pytest.importorskip("timm")
    row = peers.measure_torch(peers.make_timm, False, dataclasses.replace(tiny_case, mode=mode))
    assert row["clips_per_second"] == pytest.approx(2 / (row["milliseconds"] / 1e3))


def test_training_a_peer_moves_its_weights(tiny_case):
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    model = peers.make_timm(tiny_case)
    before = model.head.weight.detach().clone()
    size = peers.SIZES["tiny"]
    video, label = torch.randint(0, 256, (2, *size.clip, 3), dtype=torch.uint8), torch.tensor([0, 1])
    side_by_side._training_step(model, video, label, False, tiny_case)()
    assert not torch.equal(before, model.head.weight)


def test_ratios_are_of_our_speed_and_failures_are_said(capsys):
    ours = {"mode": "train", "batch_size": 2, "milliseconds": 1.0, "peak_bytes": None, "compile_seconds": 0.0}
    rows = [ours | {"peer": "ours", "clips_per_second": 30.0}, ours | {"peer": "timm", "clips_per_second": 20.0}]
    side_by_side.report([*rows, {"mode": "train", "batch_size": 2, "peer": "hugging face", "error": "out of memory"}])
    out = capsys.readouterr().out
    assert "1.50x" in out
    assert "hugging face     out of memory" in out


def test_a_peer_that_fails_is_a_row_and_not_the_end():
    row = side_by_side.alone(peers.__file__, "nobody", side_by_side.Case("train", 2, "tiny", 1, "gelu_fast", "default"))
    assert "nobody" in row["error"]


def test_rounds_are_summed_up_by_their_median():
    assert side_by_side._median([{"clips_per_second": speed} for speed in (3.0, 1.0, 2.0)]) == {
        "clips_per_second": 2.0,
        "rounds": [3.0, 1.0, 2.0],
    }


def clip_length_report():
    rows = [
        {
            "mode": "train",
            "factorisation": f"model_{power}",
            "frames": frames,
            "batch_size": 2,
            "milliseconds": 3 * frames**power,
            "gmac": frames,
        }
        for power in (1.0, 1.25, 1.5, 2.0)
        for frames in (8, 16, 32, 64)
    ]
    rows.append({"mode": "train", "factorisation": "model_2.0", "frames": 128, "batch_size": 2, "gmac": 128, "error": "out of memory"})
    return {"rows": rows, "exponents": clip_length.exponents(rows)}


def test_exponents_are_those_of_the_power_laws():
    fitted = clip_length_report()["exponents"]
    assert [row["time"] for row in fitted] == pytest.approx([1.0, 1.25, 1.5, 2.0])
    assert [row["time_of_longest"] for row in fitted] == pytest.approx([1.0, 1.25, 1.5, 2.0])
    assert [row["arithmetic"] for row in fitted] == pytest.approx([1.0] * 4)


def test_a_plot_is_drawn_of_a_report(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(clip_length_report()))
    clip_length.plot(tmp_path / "report.json", tmp_path / "images" / "plot.svg")
    assert "Model 4" in (tmp_path / "images" / "plot.svg").read_text()
