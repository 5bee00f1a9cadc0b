"""From a resource in a pack to what its page shows, one function per kind."""

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from markupsafe import Markup

from content_packs.base.ids import format_uuid
from content_packs.base.language import NEUTRAL, Chosen, choose
from content_packs.format import layout
from content_packs.format.fragment import clean_fragment
from content_packs.format.manifest import Manifest, Resource
from edgebox.domain.marking import PASS_SCALED
from edgebox.http.lesson_views import Shelves
from edgebox.keys import BOX, SESSION
from edgebox.store.documents import Document, Place, Subject, find_document
from sync.records.activity import own_activity

POSITION = "position"
APP_STATE = "app"
_IMAGE = re.compile(r'<img((?:\s+[a-z]+="[^"]*")*)\s*/?>')
_SOURCE = re.compile(r'(\ssrc=")([^"]*)(")')
_STATE_MAX_BYTES = 128 * 1024


@dataclass(frozen=True)
class Shown:
    """A resource that is being shown: where it is from, and in which languages it may be."""

    request: web.Request
    shelves: Shelves
    manifest: Manifest
    resource: Resource
    languages: tuple[str, ...]

    @property
    def file(self) -> Chosen[str]:
        """Return the file to open, in the best language."""
        return choose(self.resource.paths, self.languages)

    def content(self, path: str) -> str:
        """Return the full address of a file of the pack."""
        return self.shelves.content(self.manifest, path)

    async def read(self) -> bytes:
        """Return the file to open."""
        library = self.request.app[BOX].library
        return await library.read_file(self.manifest.pack, self.file.value, self.manifest.version)

    def beside(self, source: str) -> str:
        """Return the full address of a file named relative to the one that is open; empty when the pack has none.

        A page of an overlay finds its own files and, under the same names, those of the pack below.
        """
        name, page = layout.split_qualified(self.file.value)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(source)))
        wanted = [f"{name}:{path}", path] if name else [path]
        known = {entry.path for entry in self.manifest.files}
        return next((self.content(one) for one in wanted if one in known), "")


async def text_values(shown: Shown) -> dict[str, Any]:
    """A text: cleaned again, although the builder cleaned it, because the publisher might be hostile."""
    fragment = clean_fragment((await shown.read()).decode(errors="replace"))
    # The page has its own title, and one h1 is enough.
    fragment = fragment.replace("<h1>", "<h2>").replace("</h1>", "</h2>")
    return {"html": Markup(_IMAGE.sub(lambda found: _image(shown, found[1]), fragment))}  # noqa: S704 - just cleaned


async def image_values(shown: Shown) -> dict[str, Any]:
    """A picture."""
    return {"source": shown.content(shown.file.value)}


async def media_values(shown: Shown) -> dict[str, Any]:
    """A film or a recording, its captions, and where the learner stopped."""
    saved = await _state(shown, POSITION)
    position = _document(saved).get("position_ms", 0)
    return {
        "source": shown.content(shown.file.value),
        "poster": shown.content(shown.resource.poster) if shown.resource.poster else "",
        "tracks": _tracks(shown),
        "position_ms": position if isinstance(position, int) else 0,
        "position_at_ms": saved.updated_ms if saved else 0,
        "state_href": _state_href(shown, POSITION),
    }


async def app_values(shown: Shown) -> dict[str, Any]:
    """A learning app in its sandboxed frame, with what it saved."""
    saved = await _state(shown, APP_STATE)
    language = shown.languages[0]
    return {
        "source": f"{shown.content(shown.file.value)}?lang={quote(language)}",
        "app_state": _document(saved).get("state"),
        "position_at_ms": saved.updated_ms if saved else 0,
        "state_href": _state_href(shown, APP_STATE),
    }


async def quiz_values(shown: Shown) -> dict[str, Any]:
    """A quiz: its questions as a form, and the key for marking on the tablet, so that it works through a drop."""
    items = await quiz_items(shown)
    return {"quiz": {"questions": [_question(shown, item) for item in items], "key": _key(shown, items)}}


async def quiz_items(shown: Shown) -> list[dict[str, Any]]:
    """Return the questions as the pack has them."""
    items: list[dict[str, Any]] = json.loads(await shown.read())["item"]
    return items


def _image(shown: Shown, attributes: str) -> str:
    found = _SOURCE.search(attributes)
    address = shown.beside(unescape(found[2])) if found else ""
    if not found or not address:
        return ""
    return f'<img{attributes[: found.start(2)]}{escape(address)}{attributes[found.end(2) :]} loading="lazy">'


def _tracks(shown: Shown) -> list[dict[str, Any]]:
    if not shown.resource.captions:
        return []
    chosen = choose(shown.resource.captions, shown.languages).language
    return [
        {
            "source": shown.content(path),
            "language": language,
            "name": language_name(language),
            "chosen": language == chosen,
        }
        for language, path in shown.resource.captions.items()
    ]


def language_name(language: str) -> str:
    """Return the name of a content language in that language; its code when we do not know it."""
    return choose(_NAMES | {language: _NAMES.get(language, language)}, [language]).value


def _question(shown: Shown, item: Mapping[str, Any]) -> dict[str, Any]:
    say = _speaker(shown)
    return {
        "id": item["id"],
        "type": item["type"],
        "prompt": say(item["prompt"]),
        "picture": shown.beside(item["image"]) if "image" in item else "",
        "picture_text": say(item["image_alt"]) if "image_alt" in item else "",
        "options": [{"id": option["id"], "text": say(option["text"])} for option in item.get("option", ())],
    }


def _key(shown: Shown, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the correct answers and what to say about each, without what the page says already."""
    say = _speaker(shown)
    marked = []
    for item in items:
        options = item.get("option", ())
        notes = {option["id"]: say(option["feedback"]) for option in options if "feedback" in option}
        key: dict[str, Any] = {"id": item["id"], "type": item["type"]}
        key["correct"] = [option["id"] for option in options if option["correct"]]
        key |= {name: item[name] for name in ("answer", "tolerance") if name in item}
        key |= {"notes": notes} if notes else {}
        for short, name in (("right", "feedback_correct"), ("wrong", "feedback_wrong")):
            key |= {short: say(item[name])} if name in item else {}
        marked.append(key)
    return {"items": marked, "pass": PASS_SCALED}


def _speaker(shown: Shown) -> Any:
    return lambda texts: choose(texts, shown.languages).value


async def _state(shown: Shown, state_id: str) -> Document | None:
    session = shown.request[SESSION]
    activity = own_activity(shown.manifest.pack, shown.resource.id).iri
    place = Place(Subject.STATE, person_no=session.person_no, activity_iri=activity)
    return await shown.request.app[BOX].database.read(lambda connection: find_document(connection, place, state_id))


def _document(saved: Document | None) -> dict[str, Any]:
    """Return a saved document; a client may have put anything there."""
    if saved is None or len(saved.content) > _STATE_MAX_BYTES:
        return {}
    try:
        document = json.loads(saved.content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _state_href(shown: Shown, state_id: str) -> str:
    session = shown.request[SESSION]
    home_page = shown.request.app[BOX].identity.home_page
    account = {"account": {"homePage": home_page, "name": format_uuid(session.pseudonym)}}
    activity = own_activity(shown.manifest.pack, shown.resource.id).iri
    agent = quote(json.dumps(account, separators=(",", ":")))
    return f"/xapi/activities/state?activityId={quote(activity)}&stateId={state_id}&agent={agent}"


VALUES = {
    "text": text_values,
    "image": image_values,
    "audio": media_values,
    "video": media_values,
    "app": app_values,
    "quiz": quiz_values,
}

_NAMES = {
    "am": "አማርኛ",
    "ar": "العربية",
    "bn": "বাংলা",
    "en": "English",
    "es": "Español",
    "fa": "فارسی",
    "fr": "Français",
    "ha": "Hausa",
    "hi": "हिन्दी",
    "km": "ខ្មែរ",
    "my": "မြန်မာ",
    "ne": "नेपाली",
    "pt": "Português",
    "sw": "Kiswahili",
    "ta": "தமிழ்",
    "ur": "اردو",
    "vi": "Tiếng Việt",
    "zh": "中文",
    "zh-Hans": "简体中文",
    "zh-Hant": "繁體中文",
    NEUTRAL: "",
}
