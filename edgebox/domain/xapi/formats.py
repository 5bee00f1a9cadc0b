"""The formats `ids` and `canonical` of statements (1.0.3 part 3, 2.1.3; 2.0, 4.1.6.1)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from content_packs.base.language import choose
from edgebox.domain.xapi.agents import minimal_agent
from edgebox.domain.xapi.places import rewrite
from edgebox.domain.xapi.rules import COMPONENT_LISTS

FORMATS = ("exact", "ids", "canonical")
_ADDED_TO = ("name", "description", "extensions")
FindDefinition = Callable[[str], dict[str, Any] | None]


def with_ids_only(statement: dict[str, Any]) -> dict[str, Any]:
    """Return the statement with nothing of agents, activities and verbs but what identifies them."""
    return rewrite(statement, agent=minimal_agent, activity=_identified, verb=_identified)


def in_canonical_form(
    statement: dict[str, Any], languages: Sequence[str], find_definition: FindDefinition
) -> dict[str, Any]:
    """Return the statement with the definitions the box has of its activities, in one language."""

    def activity(value: dict[str, Any]) -> dict[str, Any]:
        definition = find_definition(value["id"]) or value.get("definition")
        return value if definition is None else {**value, "definition": in_one_language(definition, languages)}

    def verb(value: dict[str, Any]) -> dict[str, Any]:
        return value if "display" not in value else {**value, "display": choose_text(value["display"], languages)}

    return rewrite(statement, agent=dict, activity=activity, verb=verb)


def in_one_language(definition: dict[str, Any], languages: Sequence[str]) -> dict[str, Any]:
    """Return a definition of an activity with one text where it has one for each of several languages."""
    chosen = dict(definition)
    for name in ("name", "description"):
        if name in chosen:
            chosen[name] = choose_text(chosen[name], languages)
    for name in COMPONENT_LISTS:
        if name in chosen:
            chosen[name] = [
                {**part, "description": choose_text(part["description"], languages)} if "description" in part else part
                for part in chosen[name]
            ]
    return chosen


def choose_text(texts: dict[str, str], languages: Sequence[str]) -> dict[str, str]:
    """Return the best of the texts as a language map of one; an empty one stays empty."""
    if not texts:
        return texts
    chosen = choose(texts, languages)
    return {chosen.language: chosen.value}


def languages_of(accept_language: str) -> list[str]:
    """Return the languages of an Accept-Language header in lower case, the most wanted first."""
    weighed = []
    for part in accept_language.split(",")[:50]:
        tag, _, weight = part.strip().partition(";")
        weighed.append((_weight(weight), tag.strip().lower()))
    return [tag for weight, tag in sorted(weighed, key=lambda pair: -pair[0]) if tag and weight > 0]


def merge_definitions(known: dict[str, Any] | None, given: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a definition after others were given: texts and extensions are added to, all else is replaced."""
    merged, copied = dict(known or {}), set[str]()
    for each in given:
        for name, value in each.items():
            if name not in _ADDED_TO or name not in merged:
                merged[name] = value
                copied.discard(name)
                continue
            if name not in copied:
                merged[name] = dict(merged[name])
                copied.add(name)
            merged[name].update(value)
    return merged


def _identified(value: dict[str, Any]) -> dict[str, Any]:
    return {"id": value["id"]}


def _weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=")) if text else 1.0
    except ValueError:
        return 0.0
