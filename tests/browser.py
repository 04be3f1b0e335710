"""A real browser for tests: Chromium without a screen, from Debian's package; tests do not fetch it."""

import shutil
from contextlib import contextmanager

import pytest

SERIOUS = ("serious", "critical")


class Watched:
    """A page of a browser, the errors on its console, and the addresses that it asked for."""

    def __init__(self, page):
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def faults(self) -> list[str]:
        """Return the serious faults of accessibility that axe-core finds, a line each."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"{fault['id']}: {fault['help']}: {node['html'][:120]}"
            for fault in found
            if fault["impact"] in SERIOUS
            for node in fault["nodes"]
        ]


@pytest.fixture(scope="session")
def chromium():
    """The running browser; tests are skipped without one."""
    path = shutil.which("chromium")
    if not path:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The fake microphone beeps.
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium):
    """Return a context manager that opens an address in a page of a width in CSS pixels."""

    @contextmanager
    def open_page(address: str, width: int = 1280, **options):
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        try:
            context.set_default_timeout(300_000)  # a busy machine may be ten times slower than an idle one
            watched = Watched(context.new_page())
            watched.page.goto(address)
            yield watched
        finally:
            context.close()

    return open_page
