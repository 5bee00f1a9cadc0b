"""The hub's pages: Jinja2 with autoescape, one style sheet, no script."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from content_packs.base.errors import EdgeboxError
from content_packs.base.language import choose, direction_of
from content_packs.base.wording import LANGUAGES, accepted, describe, read_catalogues

OPERATORS_LANGUAGE = "en"
_KIB = 1024
_CATALOGUES = read_catalogues(files("sync") / "hub" / "locales", "hub")


def render(template: str, **values: Any) -> web.Response:
    """Return a page for operators, who read English."""
    return _render(template, OPERATORS_LANGUAGE, values)


def render_for(request: web.Request, template: str, **values: Any) -> web.Response:
    """Return a page for anybody, couriers above all, in the language that the browser wishes for."""
    return _render(template, _language_of(request), values)


def render_problem(request: web.Request, error: EdgeboxError) -> web.Response:
    """Return the page that tells a person about an error."""
    sentence, remedy = describe(error, _CATALOGUES[_language_of(request)])
    return render_for(request, "problem.html", code=error.code, sentence=sentence, remedy=remedy)


def load_templates() -> None:
    """Read every template, so that no request has to."""
    for language in LANGUAGES:
        for name in environment(language).list_templates():
            environment(language).get_template(name)


def _language_of(request: web.Request) -> str:
    return choose(LANGUAGES, accepted(request.headers.get("Accept-Language", ""))).language


def _render(template: str, language: str, values: dict[str, Any]) -> web.Response:
    frame = {"language": language, "direction": direction_of(language)}
    text = environment(language).get_template(template).render(frame | values)
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers={"Vary": "Accept-Language"})


@cache
def environment(language: str) -> Environment:
    """Return the templates with the words of a language; kept once read."""
    found = Environment(
        loader=PackageLoader("sync.hub", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    found.install_gettext_translations(_CATALOGUES[language], newstyle=True)  # type: ignore[attr-defined]  # by i18n
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
