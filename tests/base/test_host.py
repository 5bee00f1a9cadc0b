"""Only a well-formed Host that is ours passes; nothing of it can reach a header as anything but a name."""

import pytest

from content_packs.base.host import host_name, is_ours

NAMES = ("edgebox", "edgebox.local")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("edgebox", "edgebox"),
        ("EdgeBox:8080", "edgebox"),
        ("edgebox.local.", "edgebox.local"),
        ("edgebox.local.:80", "edgebox.local"),
        ("10.42.0.1:8080", "10.42.0.1"),
        ("[fe80::1]:8080", "[fe80::1]"),
        ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"),
    ],
)
def test_our_names_and_addresses_pass(host: str, name: str) -> None:
    assert host_name(host) == name
    assert is_ours(name, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":8080",
        "[]",
        "[fe80::1%eth0]",
        "[fe80::1%; script-src *]",
        "[::1]; script-src *",
        "a; script-src *",
        "edgebox; script-src *",
        "edgebox:8080 ",
        "edgebox:80:80",
        "edgebox:999999",
        "edgebox@evil.example",
        "evil.example",
        "10.0.0.1.evil.example",
        "edgebox\r\nX: y",
        "edgebox/../",
        "e" * 300,
    ],
)
def test_everything_else_is_refused(host: str) -> None:
    assert not is_ours(host_name(host), NAMES)
