"""Install the Debian packages that tests and hack/cluster need and that are missing: Chromium, a registry."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import browser
from localcluster.programs import install_packages

if __name__ == "__main__":
    browser.install()
    install_packages()
