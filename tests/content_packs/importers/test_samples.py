"""Other people's archives of every format: each is refused by the name of its format, or for what is wrong with it.

None of them is an app that runs by itself, and a course of another format must never be taken for one.
"""

from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.importers.importing import Wishes, imported

ENDINGS = frozenset({".zip", ".h5p", ".epub", ".imscc", ".zim", ".sqlite3"})
FORMATS = {
    "epub": "EPUB",
    "h5p": "H5P",
    "imscc": "Common Cartridge",
    "kolibri": "SQLite",
    "oneroster12": "OneRoster",
    "qti2": "QTI",
    "scorm12": "SCORM",
    "scorm2004": "SCORM",
    "zim": "ZIM",
}
READ = ("cmi5",)  # see test_cmi5.py
UNLIKE_THEIR_FOLDER = {
    "oneroster12/bad/01-missing-manifest.zip": ("import.unsupported", "unknown"),
    "qti2/bad/BadManifest.zip": ("archive.xml_refused", "imsmanifest.xml"),
}


def archives(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS)


@pytest.mark.parametrize("name", FORMATS)
def test_archives_of_others_are_refused_for_what_they_are(name: str, samples: Path, tmp_path: Path) -> None:
    expected, found = {}, {}
    for path in archives(samples / name):
        place = path.relative_to(samples).as_posix()
        expected[place] = UNLIKE_THEIR_FOLDER.get(place, ("import.unsupported", FORMATS[name]))
        with pytest.raises(EdgeboxError) as caught, imported(path, tmp_path / "import", Wishes()):
            pass
        fields = caught.value.fields
        found[place] = caught.value.code, fields.get("format", fields.get("name"))
        assert not [path for path in (tmp_path / "import").rglob("*") if path.is_file()]
    assert expected
    assert found == expected


def test_no_archive_of_the_samples_is_left_out(samples: Path) -> None:
    tried = [path for name in (*FORMATS, *READ) for path in archives(samples / name)]
    assert sorted(tried) == archives(samples)
