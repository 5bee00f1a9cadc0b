"""What every test gets: a clean environment, a loop that must not be blocked, and skips that can be forbidden."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

# Everywhere else each run looks somewhere else; where a result is recorded, the same code gives the same result.
settings.register_profile("repeatable", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("repeatable")

# Start-up and shut-down run before and after any request is served, so they may wait for the disk.
MAY_BLOCK = {
    "edgebox/app.py": {"hold_data", "open_box", "running_box"},
    # Reads the optional library when a box starts.
    "edgebox/services/neighbours.py": {"finding_neighbours"},
    "edgebox/control/socket.py": {"listen", "_short_address"},
    "sync/hub/app.py": {"open_hub", "running_hub"},
}


@pytest.fixture(autouse=True)
def clean_environment(
    loop_guard: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep tests from reading the developer's own box, language and folders.

    The guard comes first, so that it goes last: a call that a test replaced is put back as the guard had it.
    """
    for name in list(os.environ):
        if name.startswith(("EDGEBOX_DATA", "XDG_")) or name in ("LANG", "LANGUAGE", "LC_ALL"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EDGEBOX_DATA", str(home / "edgebox"))


@pytest.fixture(autouse=True)
def loop_guard() -> Iterator[None]:
    """Fail a test in which our code blocks the event loop."""
    guard = BlockBuster(scanned_modules=["edgebox", "sync", "content_packs"])
    for function in guard.functions.values():
        for filename, names in MAY_BLOCK.items():
            function.can_block_in(filename, names)
    guard.activate()
    yield
    guard.deactivate()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """With EDGEBOX_FORBID_SKIPS set, a missing part is a failure: that is how CI runs."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("EDGEBOX_FORBID_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and skips are forbidden here: {report.longrepr}"


@pytest.fixture(scope="session")
def samples() -> Path:
    """Return the folder of third-party files; tests for one that is missing skip."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "samples"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/samples is not there")
    return folder
