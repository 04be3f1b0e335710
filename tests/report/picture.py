"""Take a picture of a report in Chromium.

`python tests/report/picture.py results/sample/report/all/index.html report.png` writes what a reader sees first.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright


def take_picture(page: Path, output: Path, *, width: int, height: int, dark: bool, at: str, whole: bool) -> None:
    """Open a page, wait for the charts in view, and write a picture of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shown = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            device_scale_factor=1.5,
        )
        shown.goto(f"{page.resolve().as_uri()}#{at}")
        shown.wait_for_selector("html[data-ready]", state="attached")
        if whole:
            shown.evaluate("drawAll()")
            shown.wait_for_selector("html[data-ready]", state="attached")
        shown.screenshot(path=output, full_page=whole)
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=1280, help="of the window, in CSS pixels")
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--dark", action="store_true", help="for readers who prefer a dark scheme")
    parser.add_argument("--at", default="", metavar="ID", help="scroll to a section, such as mistakes")
    parser.add_argument("--whole", action="store_true", help="the whole page in place of a window's height")
    options = vars(parser.parse_args())
    take_picture(options.pop("page"), options.pop("output"), **options)
