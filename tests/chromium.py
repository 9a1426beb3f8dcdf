"""A real browser, where there is one: Chromium, and Playwright to drive it. Fixtures for each `conftest.py` whose tests open pages."""

import shutil

import pytest

FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")  # and not longer: Playwright runs an event loop in this thread, and others want their own
def browser():
    """Chromium. A test that asks for it is skipped where it or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pages are tested where Playwright is installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("pages are tested where there is a Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", *FAKE_CAMERA])
        yield browser
        browser.close()


class Visits:
    """Pages that are opened one after the other.

    Attributes:
      said: what they wrote on the console, errors included.
      asked: the addresses that they loaded.
    """

    def __init__(self, browser):
        self._browser, self._contexts = browser, []
        self.said, self.asked = [], []

    def open(self, address, *, width=1280, height=900, **options):
        """Opens a page in a context of its own; `options` are those of Playwright's `new_context`."""
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        return page

    def close(self):
        """Closes all pages."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def visits(browser):
    visits = Visits(browser)
    yield visits
    visits.close()


def page_width(page):
    """How wide the page is, in pixels: more than the screen where it must be scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth")
