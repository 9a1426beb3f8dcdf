"""The page in a real browser, where there is one: Chromium, and Playwright to drive it."""

import threading

import pytest
from accessibility import check_tree, tab_stops
from chromium import page_width
from client import serving

from vivit_jax.serving import app
from vivit_jax.serving.answers import warm_up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(browser, models):
    warm_up(models, (2, 1))
    with serving(models) as client:
        yield f"http://localhost:{client.port}/"


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desktop", "phone"])
def page(visits, address, request):
    """The page, which must load nothing from elsewhere, say nothing on the console, and fit the screen."""
    width, colours = request.param
    page = visits.open(address, width=width, height=844, color_scheme=colours)
    yield page
    assert not [text for text in visits.said if "422" not in text]  # which the console shows for the broken file
    assert all(url.startswith((address, "blob:", "data:")) for url in visits.asked)
    assert page_width(page) == width


def test_a_video_is_answered_explained_and_explained_otherwise(page, video):
    page.set_input_files("#file", {"name": "clip_of_mine.mp4", "mimeType": "video/mp4", "buffer": video})
    page.wait_for_selector("#status:has-text('clip_of_mine.mp4: 24 frames')")
    assert page.locator(".answer").count() == 2
    assert page.locator("#verdict li").count() == 2
    assert page.locator("#chart polyline").count() == 4
    assert "highest" in page.locator("#chart svg").get_attribute("aria-label")
    assert page.locator(".strip canvas").count() == 8

    second = page.locator(".answer").first.locator(".ranking button").nth(1)
    label = second.locator(".name").inner_text()
    second.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#status:has-text('Now showing the evidence for {label}')")
    assert page.locator(".answer").first.locator("h3 .label").inner_text() == label
    focused = page.evaluate("[document.activeElement.className, document.activeElement.getAttribute('aria-pressed')]")
    assert focused[1] == "true"


def test_what_is_no_video_is_said_and_the_page_goes_on(page, video):
    page.set_input_files("#file", {"name": "<img src=x>.mp4", "mimeType": "video/mp4", "buffer": b"no video"})
    page.wait_for_selector(".status.bad:has-text('<img src=x>.mp4: cannot be read as a video')")
    assert page.locator("img[src=x]").count() == 0
    assert page.is_visible("#invitation") and page.is_hidden("#result")
    page.set_input_files("#file", {"name": "good.mp4", "mimeType": "video/mp4", "buffer": video})
    page.wait_for_selector("#status:has-text('good.mp4: 24 frames')")


def test_an_example_and_the_camera(page):
    page.click("#examples button >> nth=0")
    page.wait_for_selector("#status:has-text('right.mp4: 64 frames')")
    assert page.locator("#examples [aria-pressed=true]").count() == 1
    page.click("#camera")
    page.wait_for_selector("#status:has-text('camera.webm:')")


def test_screen_readers_and_the_keyboard_find_all_of_it(page, address):
    page.goto(f"{address}?example=2")
    page.wait_for_selector("#status:has-text('turns.mp4: 64 frames')")
    nodes = check_tree(page)
    assert {"Place in the video", "Frame of the clip"} <= {name for role, name, _ in nodes if role == "slider"}
    assert {"Choose a video", "Camera", "Place in the video", "Frame of the clip", "heat", "OpenAPI"} <= set(tab_stops(page))
    assert page.locator(".verdict").get_attribute("aria-live") == "polite"
    page.focus("#place")
    page.keyboard.press("End")
    assert page.get_attribute("#place", "aria-valuetext").startswith("4.0 seconds: ")
    assert page.evaluate("document.getElementById('film').currentTime") == pytest.approx(4, abs=0.2)
    width = page.viewport_size["width"]
    page.set_viewport_size({"width": 320, "height": 640})  # a zoom of 400 % on a screen of 1280 pixels
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.set_viewport_size({"width": width, "height": 844})


def test_who_cancels_is_told_so_and_asks_again(page, video, monkeypatch):
    working, go_on, answer = threading.Event(), threading.Event(), app.answer

    def slow(*arguments):
        working.set()
        assert go_on.wait(60)
        return answer(*arguments)

    monkeypatch.setattr(app, "answer", slow)
    page.set_input_files("#file", {"name": "long.mp4", "mimeType": "video/mp4", "buffer": video})
    assert working.wait(60)
    page.wait_for_selector("#status:has-text('Looking at long.mp4')")
    page.click("#cancel")
    page.wait_for_selector("#status:has-text('Cancelled.')")
    assert page.is_visible("#invitation") and page.is_hidden("#cancel")
    assert page.evaluate("document.activeElement.id") == "file"
    go_on.set()
    page.set_input_files("#file", {"name": "good.mp4", "mimeType": "video/mp4", "buffer": video})
    page.wait_for_selector("#status:has-text('good.mp4: 24 frames')")
