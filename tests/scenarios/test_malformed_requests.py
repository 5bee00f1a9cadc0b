"""What is no HTTP gets a short answer and the end of the connection, and does not learn what answers."""

import asyncio
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.content import send_raw

MALFORMED = (
    b"G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/9.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX Y: z\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
)
PROGRAMS = {
    "pages": ("serve", "--role", "app"),
    "content": ("serve", "--role", "content"),
    "hub": ("hub", "serve"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_malformed_request_is_refused_without_naming_the_server(name: str, tmp_path: Path) -> None:
    arguments = [*PROGRAMS[name], "--data", str(tmp_path)]
    if name == "content":
        (tmp_path / "packs").mkdir()
    ports = ["--content-port", "0", "--port", "0"] if name != "hub" else ["--port", "0"]
    with programs.running(*arguments, *ports) as program:
        port = int(program.next_line("http://").partition("http://")[2].split("/")[0].rpartition(":")[2])
        for request in MALFORMED:
            # Returns only when the server closes the connection.
            answer = asyncio.run(send_raw(port, request))
            assert answer.startswith(b"HTTP/1.0 400 "), answer
            assert b"\r\nServer: edgebox\r\n" in answer
            assert b"aiohttp" not in answer.lower()
            assert b"python" not in answer.lower()
