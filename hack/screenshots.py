"""The pictures of the status page in docs/images; hack/screenshots runs this."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import page_scenes
from browser import browser
from localcluster.layout import TOP
from selenium.webdriver.support.ui import WebDriverWait

from kip.core.status.matrix import Matrix
from kip.observe.page_state import PageState

FOLDER = TOP / "docs/images"
SECONDS = 30
WIDTH = 1060
DONE = "return document.body.dataset.read && document.getAnimations().length === 0"
OPEN = "document.querySelector('#faults summary').click()"


class Picture(NamedTuple):
    """A picture: the cache in it, and what is done on the page before it is taken."""

    name: str
    scene: Callable[[], Matrix]
    scheme: str
    height: int
    script: str = ""


PICTURES = (
    Picture("page-light.png", page_scenes.few, "light", 1575, OPEN),
    Picture("page-dark.png", page_scenes.few, "dark", 1000, OPEN),
    Picture("page-5000-nodes.png", page_scenes.thousands, "light", 1400),
)


def main() -> None:
    """Take all pictures anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        board = PageState(time.monotonic)
        board.show(picture.scene())
        for notice in page_scenes.history():
            board.note(notice)
        with page_scenes.served(board) as url, browser(WIDTH, picture.height) as driver:
            features = [{"name": "prefers-color-scheme", "value": picture.scheme}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
            driver.get(url)
            wait = WebDriverWait(driver, SECONDS)
            wait.until(lambda found: found.execute_script(DONE))
            driver.execute_script(picture.script)
            wait.until(lambda found: found.execute_script(DONE))
            driver.save_screenshot(str(FOLDER / picture.name))
        print(f"docs/images/{picture.name}: {(FOLDER / picture.name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
