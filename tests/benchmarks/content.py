"""Content origin beside a plain aiohttp FileResponse and, where it is installed, nginx, on the same bytes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from content_packs.base.signing import SigningKey
from content_packs.builder import build
from content_packs.installer import Installer
from tests.benchmarks import processes
from tests.benchmarks.table import show, verdict

CONNECTIONS = 40
SECONDS = 2
ROUNDS = 3
SMALL_GOAL = 8.0
RANGE_GOAL = 0.75
RANGE_BYTES = 1 << 20
FILES = {"4 KB": ("small.jpg", 4 * 1024), "100 KB": ("medium.jpg", 100 * 1024), "1 MB range": ("film.mp4", 64 << 20)}
BEGINNINGS = {".jpg": b"\xff\xd8\xff\xe0", ".mp4": b"\x00\x00\x00\x18ftypmp42"}

FILE_RESPONSE = """
import sys
from aiohttp import web
app = web.Application()
app.router.add_static("/", sys.argv[2])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {www}; }}
}}
"""
WRK = """
local size = tonumber(os.getenv("RANGE_SIZE") or "0")
if size > 0 then
  request = function()
    local at = math.random(0, math.floor(size / 1048576) - 1) * 1048576
    return wrk.format("GET", nil, {["Range"] = string.format("bytes=%d-%d", at, at + 1048575)})
  end
end
function done(summary, latency, requests)
  io.write(string.format('JSON{"requests":%d,"us":%d,"bytes":%d,"p99_ms":%.2f,"errors":%d}\\n', summary.requests,
    summary.duration, summary.bytes, latency:percentile(99) / 1000, summary.errors.status + summary.errors.read))
end
"""


@dataclass
class Server:
    """One server under test: how its files are asked for."""

    name: str
    port: int
    pid: int
    prefix: str


def main() -> None:
    """Print the table."""
    if shutil.which("wrk") is None:
        print("content: needs wrk (Debian package wrk); not run")
        return
    with tempfile.TemporaryDirectory() as folder, _servers(Path(folder)) as servers:
        script = Path(folder) / "load.lua"
        script.write_text(WRK)
        runs: dict[tuple[str, str], list[dict[str, float]]] = {}
        for _ in range(ROUNDS):
            for kind in FILES:
                for one in servers:
                    runs.setdefault((kind, one.name), []).append(_measure(one, kind, script))
        _print(servers, runs)


def _measure(one: Server, kind: str, script: Path) -> dict[str, float]:
    name, size_bytes = FILES[kind]
    environ = {**os.environ, "RANGE_SIZE": str(size_bytes) if "range" in kind else "0"}
    before = processes.cpu_seconds(one.pid)
    url = f"http://127.0.0.1:{one.port}{one.prefix}{name}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
    output = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(output.split("JSON", 1)[1])
    if found["errors"]:
        raise RuntimeError(f"{one.name}: {found['errors']} errors for {kind}")
    found["rate"] = found["requests"] / found["us"] * 1e6
    found["cpu_us"] = (processes.cpu_seconds(one.pid) - before) / found["requests"] * 1e6
    return found


def _print(servers: list[Server], runs: dict[tuple[str, str], list[dict[str, float]]]) -> None:
    rows: list[list[str]] = []
    for kind in FILES:
        rows += [[kind, one.name, *_cells(runs[kind, one.name]), _goal(kind, one.name, runs)] for one in servers]
    header = ["file", "server", "requests/s", "MB/s", "p99 ms", "CPU us", "goal"]
    show(f"Content, {CONNECTIONS} connections, median of {ROUNDS} x {SECONDS} s", header, rows)


def _cells(found: list[dict[str, float]]) -> list[str]:
    rate, cpu_us = median(run["rate"] for run in found), median(run["cpu_us"] for run in found)
    rate_mb = median(run["bytes"] / run["us"] for run in found)
    return [f"{rate:.0f}", f"{rate_mb:.0f}", f"{median(run['p99_ms'] for run in found):.1f}", f"{cpu_us:.0f}"]


def _goal(kind: str, name: str, runs: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """Compare within each round, since the machine's speed drifts between rounds."""
    peer = "nginx" if "range" in kind else "aiohttp FileResponse"
    if name != "edgebox" or (kind, peer) not in runs:
        return ""
    ratio = median(
        ours["rate"] / theirs["rate"] for ours, theirs in zip(runs[kind, name], runs[kind, peer], strict=True)
    )
    goal = RANGE_GOAL if "range" in kind else SMALL_GOAL
    return f"{ratio:.2f} x {peer}, goal {goal} ({verdict(ratio >= goal)})"


@contextmanager
def _servers(folder: Path) -> Iterator[list[Server]]:
    """Start the box's content origin and its peers on the same files."""
    www = _write_files(folder)
    with ExitStack() as stack:
        found = [_start_edgebox(stack, folder, www), _start_file_response(stack, www)]
        if shutil.which("nginx"):
            found.append(_start_nginx(stack, folder, www))
        yield found


def _write_files(folder: Path) -> Path:
    www = folder / "www"
    www.mkdir()
    for name, size_bytes in FILES.values():
        start = BEGINNINGS[Path(name).suffix]
        (www / name).write_bytes(start + os.urandom(size_bytes - len(start)))
    return www


def _start_edgebox(stack: ExitStack, folder: Path, www: Path) -> Server:
    source, data = folder / "source", folder / "data"
    shutil.copytree(www, source)
    resources = "".join(
        f'[[lesson.resource]]\nid = "r{number}"\nkind = "{kind}"\npath = "{name}"\ntitle.en = "{name}"\n'
        for number, (name, kind) in enumerate([("small.jpg", "image"), ("medium.jpg", "image"), ("film.mp4", "video")])
    )
    (source / "pack.toml").write_text(
        'id = "org.edgebox.bench"\nversion = 1\ninLanguage = ["en"]\nlicense = "https://creativecommons.org/licenses/by/4.0/"\n'
        'title.en = "Bench"\n[[lesson]]\nid = "one"\ntitle.en = "One"\n' + resources
    )
    key = SigningKey.generate()
    built = build(source, folder / "stick", key)
    Installer(built.folder, data, {key.verify_key.key_id: key.verify_key}).run()
    port = processes.free_port()
    command = [sys.executable, "-m", "edgebox", "serve", "--data", str(data), "--role", "content"]
    process = stack.enter_context(processes.server([*command, "--content-port", str(port)], port))
    return Server("edgebox", port, process.pid, "/c/org.edgebox.bench@1/")


def _start_file_response(stack: ExitStack, www: Path) -> Server:
    port = processes.free_port()
    process = stack.enter_context(processes.server([sys.executable, "-c", FILE_RESPONSE, str(port), str(www)], port))
    return Server("aiohttp FileResponse", port, process.pid, "/")


def _start_nginx(stack: ExitStack, folder: Path, www: Path) -> Server:
    port = processes.free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, www=www))
    folder.chmod(0o755)
    process = stack.enter_context(processes.server(["nginx", "-c", str(config)], port))
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return Server("nginx", port, int(workers[0]), "/")


if __name__ == "__main__":
    main()
