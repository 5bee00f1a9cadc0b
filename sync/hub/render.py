"""The hub's pages: Jinja2 with autoescape, one style sheet, no script."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

_KIB = 1024


def render(template: str, **values: Any) -> web.Response:
    """Return a page."""
    text = environment().get_template(template).render(**values)
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def load_templates() -> None:
    """Read every template, so that no request has to."""
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def environment() -> Environment:
    """Return the templates; kept once read."""
    found = Environment(
        loader=PackageLoader("sync.hub", "templates"), autoescape=True, undefined=StrictUndefined, auto_reload=False
    )
    found.filters |= {"moment": _moment, "size": _size, "number": _number}
    return found


def _moment(at_ms: int | None) -> str:
    if not at_ms:
        return "–"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _number(value: int) -> str:
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _size(size_bytes: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 10 * _KIB or unit == "GB":
            return f"{_number(size_bytes)} {unit}"
        size_bytes //= _KIB
    raise AssertionError
