"""Which of several languages to show: people have wishes, content has what it has, and something is always shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

NEUTRAL = "und"
_LAST_RESORT = ("en", NEUTRAL)
_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "nqo", "prs", "ps", "sd", "ug", "ur", "yi"})
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"adlm", "arab", "aran", "hebr", "nkoo", "rohg", "syrc", "thaa"})


@dataclass(frozen=True)
class Chosen(Generic[T]):
    """What was found, and in which language it is (`und` when it has none)."""

    language: str
    value: T

    @property
    def direction(self) -> str:
        """Return `ltr` or `rtl`, as HTML's `dir` wants it."""
        return direction_of(self.language)


def choose(offered: Mapping[str, T], wanted: Sequence[str]) -> Chosen[T]:
    """Return the best of what is offered for the languages wanted, most wanted first.

    For each wish in turn: the very language, then the more general ones (`zh-Hans-CN`, `zh-Hans`, `zh`), then another
    variety of it (`pt-BR` for `pt-PT`). After all wishes: English, text without language, and then whatever is first.

    Raises:
        KeyError: nothing is offered at all.
    """
    names = {normalise(name): name for name in offered}
    for wish in (*wanted, *_LAST_RESORT):
        if (found := _match(names, normalise(wish))) is not None:
            return Chosen(found, offered[found])
    for name, value in offered.items():
        return Chosen(name, value)
    raise KeyError("no language is offered")


def normalise(language: str) -> str:
    """Return a language tag in lower case with hyphens, so that `zh_Hans` equals `zh-hans`."""
    return language.replace("_", "-").lower()


def direction_of(language: str) -> str:
    """Return the direction of a language's usual or named script: `ltr` or `rtl`."""
    primary, *rest = normalise(language).split("-")
    scripts = [part for part in rest if len(part) == 4 and part.isalpha()]
    if scripts:
        return "rtl" if scripts[0] in _RIGHT_TO_LEFT_SCRIPTS else "ltr"
    return "rtl" if primary in _RIGHT_TO_LEFT else "ltr"


def _match(names: Mapping[str, str], wish: str) -> str | None:
    parts = wish.split("-")
    for length in range(len(parts), 0, -1):
        if (found := names.get("-".join(parts[:length]))) is not None:
            return found
    return next((name for tag, name in names.items() if tag.split("-")[0] == parts[0]), None)
