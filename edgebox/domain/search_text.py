"""How text becomes words to search for, the same for what is indexed and what is asked.

Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan) become one word per letter, and a run of
them in a query must be found as a run. An index of three-letter pieces would miss most Chinese words: they have two.
"""

import re
import unicodedata

QUERY_MAX_CHARACTERS = 80
QUERY_MAX_WORDS = 8

# Arabic vowel signs and the lengthening stroke are left out by most writers and by all search forms.
_ARABIC_SIGNS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]")
_ARABIC_SAME = str.maketrans("أإآٱىة", "اااايه")
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Japanese, Chinese
    "\U00020000-\U0003ffff"
)
_UNSPACED_LETTER = re.compile(f"([{_UNSPACED}])")
_UNSPACED_WORD = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_MARK_CATEGORIES = frozenset({"Mn", "Mc"})


def fold(text: str) -> str:
    """Return text for the index: one form per letter, no Arabic vowel signs, a space around unspaced letters."""
    return " ".join(_UNSPACED_LETTER.sub(r" \1 ", _same_letters(text)).split())


def match_expression(query: str, *, every_word: bool = True) -> str:
    """Return the FTS5 expression for what somebody typed, or an empty text when it holds no word.

    Each word is quoted, so nothing typed is ever read as FTS5 syntax. The last word also matches longer words, because
    it may still be in the making.
    """
    phrases = _phrases(_same_letters(query[:QUERY_MAX_CHARACTERS]))[:QUERY_MAX_WORDS]
    if not phrases:
        return ""
    quoted = [f'"{fold(phrase)}"' for phrase in phrases]
    quoted[-1] += "*"
    return (" AND " if every_word else " OR ").join(quoted)


def _same_letters(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _ARABIC_SIGNS.sub("", folded).translate(_ARABIC_SAME)


def _phrases(text: str) -> list[str]:
    """Return the words, split where the script changes between spaced and unspaced."""
    spaced = "".join(letter if _is_of_word(letter) else " " for letter in text)
    return [piece for word in spaced.split() for piece in _UNSPACED_WORD.findall(word)]


def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter) in _MARK_CATEGORIES
