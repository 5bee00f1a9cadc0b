"""Tags of a page as a browser finds them, and nothing that keeps a box busy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.builder.tags import Tag, read_tags


def names(source: str) -> list[str]:
    return [("/" if tag.is_end else "") + tag.name for tag in read_tags(source)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<P>a</P >", ["p", "/p"]),
        ("<!-- <b> --><i>", ["i"]),
        ("<!--><b>--><i>", ["b", "i"]),
        ("<!-- <b> --!><i>", ["i"]),
        ("<![CDATA[<b>]]><i>", ["i"]),
        ("<!doctype html><?php <b> ?><i>", ["i"]),
        ("< b><3<i>", ["i"]),
        ("</><i>", ["i"]),
        ("<script><b></script ><i>", ["script", "/script", "i"]),
        ("<SCRIPT></scripty></ScRiPt><i>", ["script", "/script", "i"]),
        ("<title><b></title><i>", ["title", "/title", "i"]),
        ("<a b='>'><i>", ["a", "i"]),
        ("<a b='><i>", []),
        ("<script><i>", []),
        ("<!-- <i>", []),
        ("<a", []),
    ],
)
def test_tags_are_those_of_a_browser(source: str, found: list[str]) -> None:
    assert names(source) == found


def test_attributes_are_read_as_written() -> None:
    (tag,) = read_tags("<a B=1 c = 'x&amp;y'\nd=\"\" e/f =g=h ==i b=2>")
    assert tag.attributes == (
        ("b", "1"), ("c", "x&y"), ("d", ""), ("e", None), ("f", "g=h"), ("=", "i"), ("b", "2"),
    )  # fmt: skip
    assert tag.written["b"] == "1"


def test_the_content_of_a_script_is_no_mark_up() -> None:
    (tag, _end) = read_tags("<script>if (a < b) '<p>'</script>")
    assert isinstance(tag, Tag)
    assert tag.text == "if (a < b) '<p>'"


@given(st.text(alphabet="<>!-/='\"a&; \n?[scriptyle"))
def test_any_text_is_read_to_its_end_and_tags_do_not_overlap(source: str) -> None:
    at = 0
    for tag in read_tags(source):
        assert at <= tag.start < tag.end <= len(source)
        assert source[tag.start] == "<"
        assert source[tag.end - 1] == ">"
        at = tag.end + len(tag.text)


@pytest.mark.parametrize(
    "piece", ["<", "<a", "<a ", "<!--", "<![", "</", "<a b='", "<?", "<!", "<script>", "<a x=", "&#"]
)
def test_marks_that_are_never_closed_do_not_keep_a_box_busy(piece: str) -> None:
    """A reader that looks to the end again for each of them would not come back before the time-out of the tests."""
    assert len(names(piece * (2**20 // len(piece)))) <= 2**20
