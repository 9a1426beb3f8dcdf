"""The figures of score over cost in `vivit compare`: each run at its cost, read off the drawing itself."""

import base64
import re
import types
import urllib.parse

import numpy as np

from vivit_jax.runs.comparison.plots import STEP, against_cost


def run(score, cost, *, on_front=True):
    return types.SimpleNamespace(score=score, low=score - 0.05, high=score + 0.05, members=(), on_front=on_front, cost=cost)


def drawn(runs):
    uri = against_cost(runs, lambda of: of.cost, xlabel="GMAC a video", score="top-1", joined=True)
    body = uri.split(",", 1)[1]
    return base64.b64decode(body).decode() if ";base64" in uri[:60] else urllib.parse.unquote(body)


def test_runs_of_one_cost_alone_make_no_figure():
    assert against_cost([run(0.8, 5.0), run(0.7, 5.0)], lambda of: of.cost, xlabel="", score="", joined=True) is None


def test_runs_of_the_same_cost_are_drawn_beside_it_and_the_front_goes_through_it():
    svg = drawn([run(0.9, 10.0), run(0.8, 10.0, on_front=False), run(0.6, 1.0)])
    marks = re.findall(r'<use [^>]*x="([\d.]+)"[^>]*stroke: var\(--(\w+)\)', svg)
    points = np.unique([float(x) for x, colour in marks if colour != "c0"])  # c0 are axes and intervals
    dashed = re.search(r'<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+) [\d.]+ \n" [^>]*style="fill: none; stroke-dasharray', svg)
    cheap, dear = float(dashed[1]), float(dashed[2])
    np.testing.assert_allclose(sorted(points)[-2:], [dear - STEP / 2, dear + STEP / 2], atol=0.01)
    assert any(abs(points - cheap) < 0.01)
