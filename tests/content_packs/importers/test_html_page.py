"""A page of an app after it was made ready: nothing inline is left, and everything is where it was."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base.errors import EdgeboxError
from content_packs.builder.apps import check_page
from content_packs.importers.html_page import EVALUATES, HAS_BASE, OUTSIDE, RUNS_ADDRESS, make_ready
from tests.support.web_app import INDEX

FILES = {"a.js", "b.css", "p.png", "sub/x.html"}


def ready(source: str, path: str = "index.html") -> tuple[str, dict[str, str], list[str]]:
    page = make_ready(source, path, FILES.__contains__)
    return page.html, page.files, [remark.reason for remark in page.remarks]


def test_an_ordinary_app_passes_the_check_of_the_builder_afterwards() -> None:
    page = make_ready(INDEX.decode(), "index.html", lambda name: name == "js/heat.js")
    used = check_page(page.html, "index.html")
    assert used == {"js/heat.js", *page.files}
    assert (page.title, page.language, page.license) == ("La bouilloire", "fr", "CC-BY-4.0")


def test_a_page_without_anything_inline_stays_byte_by_byte() -> None:
    source = (
        '<!DOCTYPE html>\r\n<P  CLASS=x>A &amp; B<img\nsrc=p.png ><script\tsrc="a.js"></script>\r\n<!-- <b style=x> -->'
    )
    assert ready(source) == (source, {}, [])


def test_a_script_becomes_a_file_where_it_stood() -> None:
    html, files, _ = ready("<p>1</p><script nonce=x async>var a = '<b style=x>';</script><p>2</p>")
    assert html == '<p>1</p><script async src="index.inline-1.js"></script><p>2</p>'
    assert files == {"index.inline-1.js": "var a = '<b style=x>';"}


def test_a_module_stays_one() -> None:
    assert ready('<script type="module">import "./a.js"</script>')[0] == (
        '<script type="module" src="index.inline-1.js"></script>'
    )


@pytest.mark.parametrize("kind", ["application/json", "text/template", "text/x-handlebars", "application/ld+json"])
def test_what_only_looks_like_a_script_stays(kind: str) -> None:
    source = f'<script type="{kind}">{{"a": "<p onclick=x>"}}</script>'
    assert ready(source) == (source, {}, [])
    assert check_page(source, "index.html") == frozenset()


def test_a_style_becomes_a_file_with_its_media() -> None:
    html, files, _ = ready('<style media="print">b { }</style>')
    assert html == '<link media="print" rel="stylesheet" href="index.inline-1.css">'
    assert files == {"index.inline-1.css": "b { }"}


def test_a_style_inside_a_drawing_goes_before_it() -> None:
    html, _, _ = ready("<p><svg><g><style>x{}</style></g></svg>")
    assert html == '<p><link rel="stylesheet" href="index.inline-1.css"><svg><g></g></svg>'


def test_attributes_become_properties_that_are_set_before_every_script_and_at_the_end() -> None:
    html, files, _ = ready('<body><p style="color:red" onclick=\'go("x")\' id=a>t</p><script src=a.js></script></body>')
    load = '<script src="index.inline-1.js"></script>'
    assert html == f'<body><p id="a" data-edgebox-setup="0">t</p>{load}<script src=a.js></script>{load}</body>'
    assert 'element.style.cssText = "color:red";' in files["index.inline-1.js"]
    assert 'element.onclick = function (event) {\ngo("x")\n};' in files["index.inline-1.js"]


def test_a_style_cannot_break_out_of_its_string() -> None:
    _, files, _ = ready('<p style="&quot;;alert(1)//\u2028\n">')
    (content,) = files.values()
    assert r'element.style.cssText = "\";alert(1)//\u2028\n";' in content


def test_names_of_new_files_are_free_and_beside_the_page() -> None:
    page = make_ready("<script>1</script>", "sub/x.html", lambda name: name == "x.inline-1.js")
    assert list(page.files) == ["x.inline-1001.js"]
    assert 'src="x.inline-1001.js"' in page.html


@pytest.mark.parametrize(
    ("source", "html", "reason"),
    [
        ('<link rel=x href="https://fonts.example/x.css">', '<link rel="x">', OUTSIDE),
        ('<img src="//cdn.example/x.png">', "<img>", OUTSIDE),
        ('<img src="gone.png" alt="a">', '<img alt="a">', OUTSIDE),
        ('<img src="/p.png">', "<img>", OUTSIDE),
        ('<base href="/x/">', "", HAS_BASE),
        ('<a href="javascript:go()">x</a>', '<a href="javascript:go()">x</a>', RUNS_ADDRESS),
        ("<script>eval('1')</script>", '<script src="index.inline-1.js"></script>', EVALUATES),
        ("<script>new Function('1')</script>", '<script src="index.inline-1.js"></script>', EVALUATES),
    ],
)
def test_what_will_not_work_is_named(source: str, html: str, reason: str) -> None:
    assert (ready(source)[0], ready(source)[2]) == (html, [reason])


def test_a_script_from_outside_is_left_for_the_builder_to_refuse() -> None:
    html, _, _ = ready('<script src="https://cdn.example/x.js"></script>')
    with pytest.raises(EdgeboxError):
        check_page(html, "index.html")


_PIECES = st.lists(
    st.sampled_from(
        [
            "<script>",
            "</script>",
            "<style>",
            "</style>",
            "<p_style='a'>",
            "<svg>",
            "</svg>",
            "<b_onclick=x>",
            "</body>",
            "<!--",
            "-->",
            "text",
            "<",
            ">",
            "LINE",
            '"',
            "'",
            "<base>",
            "<img_src=p.png>",
            "<title>",
            "</title>",
            "\x00",
            "&",
        ]
    ).map(lambda piece: piece.replace("LINE", "\n").replace("_", " "))
)


@given(_PIECES)
def test_any_page_can_be_made_ready_and_keeps_its_text(pieces: list[str]) -> None:
    source = "".join(pieces)
    html, files, _ = ready(source)
    together = html + "".join(files.values())
    assert len(re.findall("text", source)) <= len(re.findall("text", together))
