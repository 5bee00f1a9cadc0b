"""Quizzes: from the author's TOML to canonical JSON (sorted keys, no spaces), and their words for searching."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from content_packs.base.errors import N_
from content_packs.builder.source import join_path
from content_packs.builder.tables import Table, read_table
from content_packs.format import texts
from content_packs.format.errors import SourceInvalid
from content_packs.format.fragment import is_relative

TYPES = ("choice", "multiple", "number")
ITEMS_MAX = 200
OPTIONS_MAX = 12


@dataclass(frozen=True, slots=True)
class CompiledQuiz:
    """A quiz ready for a tablet; `plain` has what can be searched by language, `used` the pictures."""

    json: bytes
    plain: dict[str, str]
    used: frozenset[str]


def compile_quiz(source: str, path: str, languages: Sequence[str]) -> CompiledQuiz:
    """Return the quiz in the file `path`.

    Raises:
        SourceInvalid: with the question and what is wrong with it.
        PathRefused: a picture that leads out of the pack.
    """
    top = read_table(path, source)
    tables = top.tables("item", most=ITEMS_MAX)
    top.finish()
    if not tables:
        raise top.refuse("item", N_("a quiz has at least one question"))
    items = [_item(table, languages) for table in tables]
    _check_unique(items, top, "item")
    encoded = json.dumps({"item": items}, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    used = frozenset(join_path(path, item["image"]) for item in items if "image" in item)
    return CompiledQuiz(encoded.encode(), _plain(items, languages), used)


def _item(table: Table, languages: Sequence[str]) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": table.identifier(),
        "type": table.choice("type", TYPES),
        "prompt": _texts(table, "prompt", languages, required=True),
    }
    if table.has("image"):
        item["image"] = table.word("image")
        if not is_relative(item["image"]):
            raise table.refuse("image", N_("this has to be the name of a file of the pack"))
        item["image_alt"] = _texts(table, "image_alt", languages, required=True)
    for key in ("feedback_correct", "feedback_wrong"):
        if table.has(key):
            item[key] = _texts(table, key, languages)
    item |= _number(table) if item["type"] == "number" else _options(table, item["type"], languages)
    table.finish()
    return item


def _number(table: Table) -> dict[str, Any]:
    answer = table.value("answer", (int, float), N_("this has to be a number"))
    tolerance = table.value("tolerance", (int, float), N_("this has to be a number"), 0)
    if not math.isfinite(answer) or not math.isfinite(tolerance) or tolerance < 0:
        raise table.refuse("answer", N_("this has to be a number"))
    return {"answer": answer, "tolerance": tolerance} if tolerance else {"answer": answer}


def _options(table: Table, kind: str, languages: Sequence[str]) -> dict[str, Any]:
    tables = table.tables("option", most=OPTIONS_MAX)
    if len(tables) < 2:
        raise table.refuse("option", N_("a question has at least two options"))
    options = [_option(one, languages) for one in tables]
    _check_unique(options, table, "option")
    correct = sum(option["correct"] for option in options)
    if kind == "choice" and correct != 1:
        raise table.refuse("option", N_("exactly one option has to be correct"))
    if correct == 0:
        raise table.refuse("option", N_("at least one option has to be correct"))
    return {"option": options}


def _option(table: Table, languages: Sequence[str]) -> dict[str, Any]:
    option: dict[str, Any] = {
        "id": table.identifier(),
        "text": _texts(table, "text", languages, required=True),
        "correct": table.value("correct", bool, N_("this has to be true or false"), False),
    }
    if table.has("feedback"):
        option["feedback"] = _texts(table, "feedback", languages)
    table.finish()
    return option


def _texts(table: Table, key: str, languages: Sequence[str], *, required: bool = False) -> dict[str, str]:
    """Return a text in all languages of the course, or one for all of them."""
    found = table.by_language(key, languages, neutral=texts.NEUTRAL, longest=texts.LONG_MAX, required=required)
    if texts.NEUTRAL not in found:
        for language in languages:
            if language not in found:
                raise table.refuse(f"{key}.{language}", N_("this is missing"))
    return found


def _check_unique(records: Sequence[dict[str, Any]], table: Table, key: str) -> None:
    seen: set[str] = set()
    for record in records:
        if record["id"] in seen:
            raise SourceInvalid(
                file=table.file, where=f"{table.where} {key} {record['id']}".strip(), reason=N_("this id is used twice")
            )
        seen.add(record["id"])


def _plain(items: Sequence[dict[str, Any]], languages: Sequence[str]) -> dict[str, str]:
    """Return the prompts and options by language."""
    said = [text for item in items for text in [item["prompt"], *(option["text"] for option in item.get("option", []))]]
    plain: dict[str, str] = {}
    for language in languages:
        words = [str(text.get(language) or text[texts.NEUTRAL]) for text in said]
        plain[language] = texts.without_isolates("\n".join(words))
    return plain
