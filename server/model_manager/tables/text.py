"""The bytes of a file → text: unpacked, and decoded from the encoding they turn out to be in.

Place in the flow: the first step of reading a table; dialect and records part the text into values.
"""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_manager.errors import TableRefused


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file says, and the name of the encoding it says it in."""

    text: str
    encoding: str
    notes: tuple[str, ...] = ()


_UNPACKERS: Final[tuple[tuple[bytes, Callable[[bytes], bytes]], ...]] = (
    (b"\x1f\x8b", gzip.decompress),
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ\x00", lzma.decompress),
)
_OTHER_FILES: Final = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save it as CSV (UTF-8)"),
    (b"PAR1", "a Parquet file; write it as CSV first"),
    (b"ARROW1", "an Arrow file; write it as CSV first"),
    (b"%PDF", "a PDF document, not a table"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
)
_OTHER_TEXTS: Final = (
    (re.compile(r'\s*(?:\{\s*"|\[\s*[{\[\n])'), "JSON, not CSV"),
    (
        re.compile(r"\s*<(?:!doctype|html|\?xml|table)\b", re.IGNORECASE),
        "HTML or XML, not CSV; was it downloaded by its own link?",
    ),
    (re.compile(r"(?:\s*%.*\n)*\s*@relation\b", re.IGNORECASE), "an ARFF file; write it as CSV first"),
)
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HIGH_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_SAY_UTF8: Final = "save it as UTF-8 and try again"
_SAMPLED: Final = 4096


def decode(content: bytes) -> FileText:
    """Unpack (gzip, bzip2, xz, a zip of one file) and decode a file's bytes.

    UTF-8, UTF-16 and UTF-32 are told by their mark or their shape; else latin-1 or cp1252, where the words look Western
    European. Raises TableRefused for another kind of file, damaged text, and an encoding that is none of these.
    """
    content = _unpacked(content)
    for magic, what in _OTHER_FILES:
        if content.startswith(magic):
            raise TableRefused(f"it is {what}")
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _marked(content[len(mark) :], encoding)
    if (wide := _wide_encoding(content)) is not None:
        return _marked(content, wide)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return _western(content)
    return FileText(_plain(text), "utf-8", _damaged(text))


def line_at(text: str, at: int) -> int:
    """Say on which line, from 1, a position of a text stands; every kind of line end counts."""
    before = text[:at]
    return 1 + before.count("\n") + before.count("\r") - before.count("\r\n")


def _unpacked(content: bytes) -> bytes:
    try:
        for magic, unpack in _UNPACKERS:
            if content.startswith(magic):
                return unpack(content)
        if content.startswith(b"PK\x03\x04"):
            return _only_member(zipfile.ZipFile(io.BytesIO(content)))
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise TableRefused(f"it is a compressed file that is damaged: {error}") from error
    return content


def _only_member(archive: zipfile.ZipFile) -> bytes:
    names = [one.filename for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX")]
    if "[Content_Types].xml" in names:
        raise TableRefused("it is an Excel workbook; save it as CSV (UTF-8)")
    if len(names) != 1:
        raise TableRefused(f"it is a zip of {len(names)} files; unpack it and name one of them")
    try:
        return archive.read(names[0])
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way Python does not know
        raise TableRefused(f"it is a zip that cannot be unpacked: {error}") from error


def _marked(content: bytes, encoding: str) -> FileText:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = line_at(before := content[: error.start].decode(encoding, "replace"), len(before))
        raise TableRefused(f"it begins as {encoding.upper()}, and line {line} is not; {_SAY_UTF8}") from error
    return FileText(_plain(text), encoding, _damaged(text))


def _wide_encoding(content: bytes) -> str | None:
    """Tell UTF-16 without a mark by its zeros: every other byte of mostly Western text."""
    even, odd = content[0:_SAMPLED:2], content[1:_SAMPLED:2]
    for zeros, letters, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros and zeros.count(0) > 0.7 * len(zeros) and letters.count(0) < 0.1 * len(letters):
            return encoding
    return None


def _western(content: bytes) -> FileText:
    """Decode what is not UTF-8 as Western European, unless it is damaged UTF-8 or a script of its own."""
    as_utf8 = content.decode("utf-8", "surrogateescape")
    stray = [at for at, one in enumerate(as_utf8) if "\udc80" <= one <= "\udcff"]
    whole = sum(one > "\x7f" for one in as_utf8) - len(stray)
    if whole > len(stray):
        byte = ord(as_utf8[stray[0]]) - 0xDC00
        raise TableRefused(
            f"line {line_at(as_utf8, stray[0])} holds the byte 0x{byte:02x}, the rest is UTF-8; {_SAY_UTF8}"
        )
    words = _HIGH_WORD.findall(content)
    foreign = sum(_is_foreign(word) for word in words)
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        foreign = len(words)
        text = content.decode("latin-1")
    first = next(re.finditer(r"\w*[^\x00-\x7f]\w*", text))
    line, shown = line_at(text, first.start()), first[0][:40]
    if foreign > len(words) / 2:
        told = f"line {line} is neither UTF-8 nor Western European text (as that it would say {shown!r})"
        raise TableRefused(f"{told}; {_SAY_UTF8}, as with: iconv -f ENCODING -t UTF-8")
    encoding = "latin-1" if not re.search(rb"[\x80-\x9f]", content) else "cp1252"
    note = (
        f"not UTF-8: read as {encoding} (Western European); line {line} says {shown!r}. If that is wrong, {_SAY_UTF8}"
    )
    return FileText(_plain(text), encoding, (note,))


def _is_foreign(word: bytes) -> bool:
    """Whether hardly a letter of a word is ASCII, as in Cyrillic, Greek or Japanese read as Western European."""
    high = sum(one > 0x7F for one in word)
    return high >= 3 and high > len(word) / 2


def _damaged(text: str) -> tuple[str, ...]:
    if (at := text.find("\ufffd")) < 0:
        return ()
    count = text.count("\ufffd")
    return (
        f"{count} characters are �, the first on line {line_at(text, at)}: they were lost before this file was written",
    )


def _plain(text: str) -> str:
    for beginning, what in _OTHER_TEXTS:
        if beginning.match(text):
            raise TableRefused(f"it is {what}")
    if (at := text.find("\0")) >= 0:
        raise TableRefused(
            f"line {line_at(text, at)} holds a NUL character: it is not text, or its end was never written"
        )
    return text
