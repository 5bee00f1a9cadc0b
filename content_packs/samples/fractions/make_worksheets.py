#!/usr/bin/env python3
"""Prints the worksheets of the course: worksheets/<lesson>.<language>.html to <lesson>/worksheet.<language>.pdf.

Needs: chromium, and the fonts Noto Sans and Noto Sans Arabic.
Run:   python3 make_worksheets.py            all worksheets
       python3 make_worksheets.py adding     only those of this lesson
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LESSONS = ("equal-parts", "comparing", "adding")
LANGUAGES = ("en", "ar")


def print_pdf(browser: str, page: Path, pdf: Path) -> None:
    """Prints one page of HTML to PDF, with a browser profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={profile}",
        ]
        command = [browser, *options, f"--print-to-pdf={pdf}", page.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    """Prints the worksheets of the lesson named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description="Prints the worksheets of the course to PDF.")
    parser.add_argument("lesson", nargs="?", choices=LESSONS, help="only this lesson")
    parser.add_argument("--browser", default="chromium", help="the browser that prints (default: %(default)s)")
    arguments = parser.parse_args()
    for lesson in [arguments.lesson] if arguments.lesson else LESSONS:
        for language in LANGUAGES:
            page = HERE / "worksheets" / f"{lesson}.{language}.html"
            print_pdf(arguments.browser, page, HERE / lesson / f"worksheet.{language}.pdf")


if __name__ == "__main__":
    main()
