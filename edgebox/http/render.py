"""From a template and values to a page; every page of the box is made here."""

import gzip
import re
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any

from aiohttp import web
from jinja2 import DictLoader, Environment, StrictUndefined

from content_packs.base.errors import EdgeboxError
from content_packs.base.language import direction_of
from content_packs.base.wording import LANGUAGES, describe
from edgebox.domain.session import Role, Session
from edgebox.http.assets import asset_href
from edgebox.http.island_words import island_words
from edgebox.http.wording import language_of, words
from edgebox.keys import BOX, SESSION
from edgebox.services import submit_token
from edgebox.services.submit_token import SubmitRight
from edgebox.store.hub_news import HubMessage

PACK_FROM_BYTES = 500
# Browsers read "\" as "/", and URL parsers drop tabs and newlines: either can hide a second slash after the first.
_UNSAFE_IN_PATH = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_HOMES = {Role.LEARNER: "/learn", Role.TEACHER: "/staff/classes"}


def _read_templates() -> MappingProxyType[str, str]:
    folder: Traversable = files("edgebox") / "web" / "templates"
    names = [entry for entry in folder.iterdir() if entry.name.endswith(".html")]
    staff = folder / "staff"
    below = list(staff.iterdir()) if staff.is_dir() else []
    found = {entry.name: entry.read_text("utf-8") for entry in names}
    return MappingProxyType(found | {f"staff/{entry.name}": entry.read_text("utf-8") for entry in below})


# Read when the module is imported, so that no handler waits for the disk.
_TEMPLATES = _read_templates()


def page(
    request: web.Request, template: str, *, status: int = 200, is_live: bool = False, **values: Any
) -> web.Response:
    """Return a page.

    Args:
        is_live: the page is asked for again and again; an unchanged one is answered with 304.
        values: what the template shows, besides what every page has.
    """
    language = language_of(request)
    html = _environment(language).get_template(template).render(_frame(request, language) | values)
    response = web.Response(status=status, content_type="text/html", charset="utf-8", body=html.encode())
    if is_live:
        _make_conditional(request, response)
    _pack(request, response)
    return response


def render_problem(request: web.Request, error: EdgeboxError) -> web.Response:
    """Return the page that tells a person about an error."""
    sentence, remedy = translated(request, error)
    return page(request, "error.html", sentence=sentence, remedy=remedy, code=error.code, error=error)


def translated(request: web.Request, error: EdgeboxError) -> tuple[str, str]:
    """Return the sentence and the remedy of an error in the language of the request."""
    return describe(error, page_words(request))


def page_words(request: web.Request) -> Any:
    """Return the translations for texts that a handler makes itself: `.gettext`, `.ngettext`."""
    return words(language_of(request))


def is_local(path: str) -> bool:
    """Tell whether a redirect to `path` stays on this origin."""
    return path.startswith("/") and not path.startswith("//") and not _UNSAFE_IN_PATH.search(path)


def _frame(request: web.Request, language: str) -> dict[str, Any]:
    """Return what base.html needs."""
    session = request.get(SESSION)
    box = request.app[BOX]
    return {
        "language": language,
        "direction": direction_of(language),
        "path": request.path_qs,
        "csrf": session.csrf if session else "",
        "person": _person(session),
        "home": _HOMES[session.role] if session else "/",
        "submit_token": _submit_token(box.identity.submit_key, session),
        "server_ms": box.clock.now_ms(),
        "messages": _messages(request, session),
        "is_clock_in_doubt": box.timekeeping.is_in_doubt,
        "island_strings": island_words(language),
    }


def _messages(request: web.Request, session: Session | None) -> list[HubMessage]:
    """Return what the hub says to the teacher who reads the page."""
    if session is None or session.role is not Role.TEACHER:
        return []
    return request.app[BOX].hub_news.messages(session.person_no)


def _person(session: Session | None) -> dict[str, Any] | None:
    if session is None:
        return None
    return {"id": session.pseudonym.hex(), "name": session.given_name, "avatar": session.avatar}


def _submit_token(key: bytes, session: Session | None) -> str:
    """Return the right of a learner's tablet to send this learner's work, even after the sign-out."""
    if session is None or session.role is not Role.LEARNER:
        return ""
    return submit_token.make(key, SubmitRight(session.person_no, session.pseudonym))


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=DictLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(words(language), newstyle=True)  # type: ignore[attr-defined]  # by i18n
    environment.globals["static"] = asset_href
    environment.globals["languages"] = LANGUAGES
    return environment


def _make_conditional(request: web.Request, response: web.Response) -> None:
    body = response.body
    assert isinstance(body, bytes)
    etag = blake2b(body, digest_size=12).hexdigest()
    response.etag = etag
    response.headers["Cache-Control"] = "private, no-cache"
    if any(known.value == etag for known in request.if_none_match or ()):
        response.set_status(304)
        response.body = b""


def _pack(request: web.Request, response: web.Response) -> None:
    body = response.body
    assert isinstance(body, bytes)
    response.headers["Vary"] = "Accept-Encoding, Accept-Language, Cookie"
    if len(body) < PACK_FROM_BYTES or "gzip" not in request.headers.get("Accept-Encoding", ""):
        return
    response.body = gzip.compress(body, 6, mtime=0)
    response.headers["Content-Encoding"] = "gzip"
