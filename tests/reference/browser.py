"""Pages as Chromium shows them; tests of them are left out where there is none."""

import shutil
import subprocess

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
in_browser = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


def opened(path, fragment="", budget=10_000):
    """The document as a browser has it after so many milliseconds of its own clock."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--virtual-time-budget={budget}", f"--user-data-dir={path.parent / 'profile'}"]
    done = subprocess.run(
        [*command, f"{path.as_uri()}{fragment}"], capture_output=True, text=True, check=True
    )
    return done.stdout
