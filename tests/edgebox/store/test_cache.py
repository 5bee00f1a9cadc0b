"""The file that may be deleted at any time: damage and other versions are no reason to stop."""

import sqlite3
from pathlib import Path

import pytest

from edgebox.store.cache import Cache, CacheRemade
from edgebox.store.search import Entry


def filled(path: Path) -> None:
    cache = Cache(path)
    cache.search.add("org.example", 1, [Entry("org.example", 1, "l", "r", "en", "equal", "", "", "")])
    cache.close()


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_bytes(b"this is no database" * 500)
    cache = Cache(path)
    assert cache.search.indexed() == set()
    assert cache.catalogue.list_shelved() == {}
    cache.close()


def test_a_cache_of_another_version_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cache.db"
    filled(path)
    monkeypatch.setattr("edgebox.store.cache.CACHE_VERSION", 99)
    cache = Cache(path)
    assert cache.search.indexed() == set()
    cache.close()


def test_damage_that_is_met_later_empties_the_cache_and_says_so(tmp_path: Path) -> None:
    filled(tmp_path / "cache.db")
    cache = Cache(tmp_path / "cache.db")

    def meet_damage(_opened: Cache) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(CacheRemade):
        cache.run(meet_damage)
    assert cache.run(lambda opened: opened.search.indexed()) == set()
    cache.close()
