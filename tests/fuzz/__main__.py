"""Fuzz one target: `python -m tests.fuzz NAME [--seconds 60] [--corpus FOLDER]`. Ends with 0 when nothing was found."""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

MEMORY_MAX_MB = 256
SECONDS_PER_INPUT_MAX = 1
# What Python, the parsers and the counters of the fuzzer take before the first input.
OWN_MEMORY_MB = 256

with atheris.instrument_imports(include=["content_packs", "sync", "edgebox", "html", "tomllib", "zipfile"]):
    from tests.fuzz.target import run
    from tests.fuzz.targets import BY_NAME


def main() -> None:
    """Fuzz until time is up, or the first input that breaks a rule, which is written beside the corpus."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=sorted(BY_NAME))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    target = BY_NAME[options.target]
    with tempfile.TemporaryDirectory() as temporary:
        corpus: Path = options.corpus or Path(temporary)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        arguments = [
            sys.argv[0],
            str(corpus),
            f"-max_total_time={options.seconds}",
            f"-timeout={SECONDS_PER_INPUT_MAX}",
            f"-malloc_limit_mb={MEMORY_MAX_MB}",
            f"-rss_limit_mb={MEMORY_MAX_MB + OWN_MEMORY_MB}",
            f"-artifact_prefix={corpus.parent}/found-{target.name}-",
            "-max_len=65536",
            "-print_final_stats=1",
        ]
        atheris.Setup(arguments, lambda data: run(target, data), enable_python_coverage=True)
        atheris.Fuzz()


main()
