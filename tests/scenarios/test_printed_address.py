"""Who starts a box or a hub for a network is told an address that can be opened as it stands."""

import urllib.request
from pathlib import Path

import pytest

from tests.support import programs


@pytest.mark.parametrize("program", [("serve", "--content-port", "0"), ("hub", "serve")])
def test_a_program_that_listens_everywhere_prints_an_address_that_answers(
    program: tuple[str, ...], tmp_path: Path
) -> None:
    with programs.running(*program, *programs.command_with_ports(tmp_path), "--host", "0.0.0.0") as running:
        address = "http://" + running.next_line("http://").partition("http://")[2].partition("/")[0]
        assert "//0.0.0.0" not in address
        with urllib.request.urlopen(f"{address}/ping", timeout=20) as answer:
            assert answer.status in (200, 204)
