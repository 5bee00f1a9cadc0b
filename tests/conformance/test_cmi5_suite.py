"""CATAPULT's suite with nothing failing, wherever it is at hand; see cmi5_suite.py."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.cmi5_suite import FOLDER, SUITES, run_suite

CASES = {"package": 21, "runtime": 66}


@pytest.mark.soak
@pytest.mark.timeout(1_000)
@pytest.mark.skipif(not FOLDER, reason="EDGEBOX_CMI5_SUITE names no folder with the lts of adlnet/CATAPULT")
@pytest.mark.parametrize("name", SUITES)
async def test_every_case_of_the_suite_passes(name: str) -> None:
    outcome = await asyncio.to_thread(run_suite, name, Path(FOLDER))
    assert outcome.failures == []
    assert outcome.passed == outcome.total == CASES[name]
