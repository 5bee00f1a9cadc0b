"""Why a file somebody brings is not made into a pack; one class per rule and code.

`name` is the name inside the archive as far as it can be shown. A refused archive has left nothing behind.
"""

from typing import ClassVar

from content_packs.base.errors import N_, EdgeboxError

NAMES_REMEDY = N_("Give the file a plain name, make the archive again, and try once more.")
REPACK_REMEDY = N_("Unpack it on a computer, make a plain ZIP file of the folder, and try once more.")
DISTRUST_REMEDY = N_("Do not use it. Ask whoever made it for another copy.")
SMALLER_REMEDY = N_("Leave out what is not needed, or split it into several archives.")


class ImportUnsupported(EdgeboxError):
    """A format that no importer reads; `format` is its short name, or `unknown`."""

    code = "import.unsupported"
    status = 415
    exit_code = 193
    sentence = N_("Edgebox cannot make a pack of this kind of file yet ({format}).")
    remedy = N_("Bring a cmi5 course, or a ZIP file of a web app, with index.html at its top or in its only folder.")


class ImportFailed(EdgeboxError):
    """The process that reads the file was stopped: it needed more time or memory than it may have."""

    code = "import.failed"
    status = 422
    exit_code = 194
    sentence = N_("This file is too much for the box to read ({reason}).")
    remedy = SMALLER_REMEDY


class _Refusal:
    """What most rules on archives share."""

    status: ClassVar[int] = 422
    remedy: ClassVar[str] = REPACK_REMEDY


class ArchiveMalformed(_Refusal, EdgeboxError):
    """Not an archive, cut short, or with damaged content."""

    code = "archive.malformed"
    exit_code = 196
    sentence = N_("This archive is damaged or was cut short ({reason}).")
    remedy = N_("Copy it again from where it came from.")


class EntryEncrypted(_Refusal, EdgeboxError):
    """An entry that needs a password."""

    code = "archive.encrypted"
    exit_code = 197
    sentence = N_("The file “{name}” in the archive is locked with a password.")


class MethodUnknown(_Refusal, EdgeboxError):
    """An entry packed in another way than stored or deflated."""

    code = "archive.method_unknown"
    exit_code = 198
    sentence = N_("The file “{name}” is packed in a way Edgebox does not read ({method}).")


class ArchiveAmbiguous(_Refusal, EdgeboxError):
    """Two end records, or bytes before, between or after what the end record speaks of."""

    code = "archive.ambiguous"
    exit_code = 199
    sentence = N_("This archive can be read in two ways: it has more in it than its list says ({reason}).")
    remedy = DISTRUST_REMEDY


class Zip64Wrong(_Refusal, EdgeboxError):
    """Sizes in 64 bits that contradict those in 32, or are missing."""

    code = "archive.wide_sizes"
    exit_code = 200
    sentence = N_("The large sizes in this archive contradict each other.")
    remedy = DISTRUST_REMEDY


class HeaderDiffers(_Refusal, EdgeboxError):
    """An entry whose own header says something else than the list at the end."""

    code = "archive.header_differs"
    exit_code = 201
    sentence = N_("The list of this archive and the file “{name}” contradict each other.")
    remedy = DISTRUST_REMEDY


class EntriesOverlap(_Refusal, EdgeboxError):
    """Two entries that share bytes."""

    code = "archive.overlap"
    exit_code = 202
    sentence = N_("Files in this archive lie over one another (“{name}”).")
    remedy = DISTRUST_REMEDY


class SizeWrong(_Refusal, EdgeboxError):
    """An entry that unpacks to another size than it states."""

    code = "archive.size_wrong"
    exit_code = 203
    sentence = N_("The file “{name}” has another size than the archive says.")
    remedy = DISTRUST_REMEDY


class RatioTooHigh(_Refusal, EdgeboxError):
    """An entry that would blow up when unpacked."""

    code = "archive.ratio"
    exit_code = 204
    sentence = N_("The file “{name}” would grow more than {most} times when unpacked.")
    remedy = DISTRUST_REMEDY


class ArchiveTooLarge(_Refusal, EdgeboxError):
    """All entries together are over the limit."""

    code = "archive.too_large"
    status = 413
    exit_code = 205
    sentence = N_("Unpacked, this archive has {size_bytes} bytes; at most {limit_bytes} are possible.")
    remedy = SMALLER_REMEDY


class TooManyEntries(_Refusal, EdgeboxError):
    """More entries than a pack may have."""

    code = "archive.too_many"
    status = 413
    exit_code = 206
    sentence = N_("This archive has {count} files; at most {limit} are possible.")
    remedy = SMALLER_REMEDY


class ArchiveNested(_Refusal, EdgeboxError):
    """An archive inside the archive."""

    code = "archive.nested"
    exit_code = 207
    sentence = N_("There is another archive in this archive: “{name}”.")
    remedy = N_("Unpack it on a computer, leave the inner archive out, and make the ZIP file again.")


class EntryTwice(_Refusal, EdgeboxError):
    """Two entries with one name."""

    code = "archive.duplicate"
    exit_code = 208
    sentence = N_("The file “{name}” is in the archive twice.")
    remedy = DISTRUST_REMEDY


class FileAndFolder(_Refusal, EdgeboxError):
    """A name that is a file and a folder."""

    code = "archive.file_and_folder"
    exit_code = 209
    sentence = N_("“{name}” is a file and a folder at once.")
    remedy = DISTRUST_REMEDY


class CaseTwins(_Refusal, EdgeboxError):
    """Two names that differ in capital letters only."""

    code = "archive.case_twins"
    exit_code = 210
    sentence = N_("Two names differ in capital letters only: “{name}”.")
    remedy = NAMES_REMEDY


class UnicodeTwins(_Refusal, EdgeboxError):
    """Two names that look alike and are written with other code points."""

    code = "archive.unicode_twins"
    exit_code = 211
    sentence = N_("Two names are the same but for how their letters are stored: “{name}”.")
    remedy = NAMES_REMEDY


class EntryIsLink(_Refusal, EdgeboxError):
    """A link to another file."""

    code = "archive.link"
    exit_code = 212
    sentence = N_("“{name}” is a link, not a file.")
    remedy = N_("Put the file itself there, make the archive again, and try once more.")


class EntryIsDevice(_Refusal, EdgeboxError):
    """A device, a pipe or a socket."""

    code = "archive.device"
    exit_code = 213
    sentence = N_("“{name}” is neither a file nor a folder.")
    remedy = DISTRUST_REMEDY


class NameTraverses(_Refusal, EdgeboxError):
    """A name with `..` or an empty part."""

    code = "archive.name_traversal"
    exit_code = 214
    sentence = N_("The name “{name}” points outside its folder.")
    remedy = DISTRUST_REMEDY


class NameAbsolute(_Refusal, EdgeboxError):
    """A name that begins at the root."""

    code = "archive.name_absolute"
    exit_code = 215
    sentence = N_("The name “{name}” begins at the top of the disk.")


class NameOnVolume(_Refusal, EdgeboxError):
    """A name on a drive, or on another computer."""

    code = "archive.name_volume"
    exit_code = 216
    sentence = N_("The name “{name}” speaks of a drive or of another computer.")


class NameBackslash(_Refusal, EdgeboxError):
    """A name with a backslash, which is a letter on one system and a folder on another."""

    code = "archive.name_backslash"
    exit_code = 217
    sentence = N_("The name “{name}” has a backslash in it.")


class NameControl(_Refusal, EdgeboxError):
    """A name with a control character."""

    code = "archive.name_control"
    exit_code = 218
    sentence = N_("The name “{name}” has a control character in it.")
    remedy = DISTRUST_REMEDY


class NameInvisible(_Refusal, EdgeboxError):
    """A name with marks that cannot be seen or turn text around."""

    code = "archive.name_invisible"
    exit_code = 219
    sentence = N_("The name “{name}” has marks in it that cannot be seen.")
    remedy = DISTRUST_REMEDY


class NameNotUtf8(_Refusal, EdgeboxError):
    """A name in another encoding."""

    code = "archive.name_encoding"
    exit_code = 220
    sentence = N_("The letters of the name “{name}” cannot be read: they are not stored as UTF-8.")
    remedy = NAMES_REMEDY


class NameReserved(_Refusal, EdgeboxError):
    """A name that some systems keep for a device."""

    code = "archive.name_reserved"
    exit_code = 221
    sentence = N_("Some systems keep the name “{name}” for a device.")
    remedy = NAMES_REMEDY


class NameTrailing(_Refusal, EdgeboxError):
    """A part of a name that ends with a dot or a space, or begins with a space."""

    code = "archive.name_trailing"
    exit_code = 222
    sentence = N_("A part of the name “{name}” ends with a dot or a space, or begins with one.")
    remedy = NAMES_REMEDY


class NameTooLong(_Refusal, EdgeboxError):
    """A name that some systems cannot keep."""

    code = "archive.name_long"
    exit_code = 223
    sentence = N_("The name “{name}” is too long.")
    remedy = NAMES_REMEDY


class NameTooDeep(_Refusal, EdgeboxError):
    """A file in more folders than a pack may have."""

    code = "archive.name_deep"
    exit_code = 195
    sentence = N_("“{name}” lies in too many folders.")
    remedy = NAMES_REMEDY


class XmlRefused(_Refusal, EdgeboxError):
    """XML with a document type, which is where entities come from, or that is no XML."""

    code = "archive.xml_refused"
    exit_code = 224
    sentence = N_("The file “{name}” is XML that can grow or reach outside, or is damaged ({reason}).")
    remedy = DISTRUST_REMEDY
