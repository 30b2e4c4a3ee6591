"""A real browser, and the page of a board in it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import browser
import pytest
from page_scenes import served
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

from kip.observe.health import Health
from kip.observe.page_state import PageState

SECONDS = 30

SPY = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    new MutationObserver((_, observer) => {
        if (!document.querySelector("#matrix-rows tr")) return;
        window.shownAt = performance.now();
        observer.disconnect();
    }).observe(document, {childList: true, subtree: true});
"""


class Opened:
    """The page in the browser."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def js(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def eventually(self, look: Callable[[], object], what: str):
        return WebDriverWait(self.driver, SECONDS, poll_frequency=0.05).until(lambda _: look(), what)

    def go(self, url: str) -> None:
        self.driver.get(url)
        self.eventually(lambda: self.js("return document.body.dataset.read"), "the page reads its document")

    def read_again(self) -> None:
        """Have it read at once, as when somebody comes back to its tab; wait until it has."""
        before = self.reads
        self.js('document.dispatchEvent(new Event("visibilitychange"))')
        self.eventually(lambda: self.reads > before, "another reading")

    @property
    def reads(self) -> int:
        return int(self.js("return document.body.dataset.read"))

    @property
    def title(self) -> str:
        return self.driver.title

    @property
    def violations(self) -> list[str]:
        return self.js("return window.violations")

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that are seen."""
        return self.js(
            "return Array.from(document.querySelectorAll(arguments[0]))"
            ".filter((one) => one.checkVisibility())"
            ".map((one) => one.textContent.toWellFormed())",
            selector,
        )

    def text(self, selector: str) -> str:
        (text,) = self.texts(selector)
        return text

    def names(self, selector: str) -> list[str]:
        """What screen readers call these elements by."""
        return self.js(
            "return Array.from(document.querySelectorAll(arguments[0]))"
            ".map((one) => one.getAttribute('aria-label'))",
            selector,
        )

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        return self.js("return document.activeElement.textContent.trim()")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    if not browser.installed():
        # Not skipped: a test that does not run hides what it would find.
        pytest.fail("Chromium is not installed: `make packages` does that", pytrace=False)
    with browser.browser() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SPY})
        yield driver


@pytest.fixture
def page(chromium) -> Iterator[Opened]:
    """A light page, empty until it goes somewhere."""
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    found = Opened(chromium)
    yield found
    chromium.get("about:blank")


@pytest.fixture
def board() -> PageState:
    return PageState(time.monotonic)


@pytest.fixture
def opened(page, board) -> Iterator[Callable[..., Opened]]:
    """Open the page of the board, after it shows this matrix."""
    with ExitStack() as stack:

        def go(matrix=None, *, health: Health | None = None) -> Opened:
            if matrix:
                board.show(matrix)
            if health:
                board.problems = health.problems
            page.go(stack.enter_context(served(board, health)))
            return page

        yield go
