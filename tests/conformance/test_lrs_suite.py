"""ADL's suite with nothing failing, wherever the suite is at hand; see lrs_suite.py."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.lrs_suite import FOLDER, VERSIONS, run_suite


@pytest.mark.soak
@pytest.mark.timeout(1_000)
@pytest.mark.skipif(not FOLDER, reason="EDGEBOX_LRS_SUITE names no folder with adlnet/lrs-conformance-test-suite")
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_case_of_the_suite_passes(version: str) -> None:
    outcome = await asyncio.to_thread(run_suite, version, Path(FOLDER))
    assert outcome.failures == []
    assert outcome.passed == outcome.total > 1_300
