"""The HTML a text resource may consist of: an allow-list, applied when a pack is built and again before it is shown."""

from urllib.parse import urlsplit

import nh3

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "ol": {"start"},
    "td": {"align"},
    "th": {"align"},
}
_SCHEMES = {"http", "https", "mailto"}


def clean_fragment(html: str) -> str:
    """Return `html` with only the elements, attributes and addresses a text may have; idempotent.

    Pictures keep their address only when it is relative to the fragment's own file.
    """
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_filter_attribute,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )


def is_relative(address: str) -> bool:
    """Return whether `address` leads to another file of the same pack."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc and bool(parts.path) and not parts.path.startswith(("/", "\\"))


def _filter_attribute(tag: str, attribute: str, value: str) -> str | None:
    if tag == "img" and attribute == "src" and not is_relative(value):
        return None
    return value
