"""Only errors with a code come out of a parser: for damaged seeds at every run, by a fuzzer in the long one."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.target import Target, run
from tests.fuzz.targets import TARGETS, variants

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
VARIANTS = 150


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damaged_inputs_are_refused_with_a_code(target: Target) -> None:
    seeds = target.seeds or [b"seed"]
    each = VARIANTS // len(seeds) + 1
    inputs = {data for number, seed in enumerate(seeds) for data in variants(seed, each, number)}
    assert len(inputs) > VARIANTS // 2
    for data in inputs:
        run(target, data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_seeds_are_inputs_that_the_parser_takes_or_refuses(target: Target) -> None:
    assert len({*target.seeds}) == len(target.seeds)
    for seed in target.seeds:
        run(target, seed)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_fuzzer_finds_nothing(target: Target) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("no atheris: install the extra `fuzz` (wheels for Python 3.11 to 3.13 on x86-64 only)")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target.name, "--seconds", str(SECONDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
