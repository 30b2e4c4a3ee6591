#!/usr/bin/env python3
"""Debian's Chromium, driven by its own chromedriver. Run as a program it installs both where they are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from machine import install_missing
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM = "/usr/bin/chromium"
DRIVER = "/usr/bin/chromedriver"


def install() -> None:
    """Install the browser, with a font that has all signs of the page."""
    install_missing(**{CHROMIUM: "chromium", DRIVER: "chromium-driver", "fc-list": "fontconfig"})


@contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """Start the browser without a screen, and end it."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        f"--window-size={width},{height}",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--lang=en",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


if __name__ == "__main__":
    install()
