"""A file's bytes → text: encodings, compression, what was damaged, and what is no CSV file at all."""

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import TableRefused
from model_manager.tables.reading import read_csv_table
from model_manager.tables.text import decode

from tests.unit.tables.staging import refused, table_of

TEXT = "straße,größe\nKönigsallee,1.5\nAm Bächle,2.5\n"


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-16"), "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-32"), "utf-32-le"),
        (TEXT.encode("latin-1"), "latin-1"),
        ((TEXT + "Straße “B”,3.5\n").encode("cp1252"), "cp1252"),
        (gzip.compress(TEXT.encode(), mtime=0), "utf-8"),
        (bz2.compress(TEXT.encode()), "utf-8"),
        (lzma.compress(TEXT.encode()), "utf-8"),
        (zipped("table.csv"), "utf-8"),
        (zipped("table.csv", "__MACOSX/._table.csv"), "utf-8"),
    ],
)
def test_the_encoding_is_found_out_and_told(tmp_path: Path, content: bytes, encoding: str) -> None:
    table = table_of(tmp_path, content)
    assert table.report.encoding == encoding
    assert list(table.frame.columns) == ["straße", "größe"]
    assert table.frame["straße"].tolist()[:2] == ["Königsallee", "Am Bächle"]
    told = any("not UTF-8: read as" in note and "line 1 says 'straße'" in note for note in table.report.notes)
    assert told == (encoding in ("latin-1", "cp1252"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            TEXT.encode() + "Müllerweg,1\n".encode() * 3 + b"Caf\xe9,2\n",
            "line 7 holds the byte 0xe9, the rest is UTF-8",
        ),
        ("город,цена\nМосква,1\n".encode("cp1251"), "line 1 is neither UTF-8 nor Western European text"),
        ("a,b\n1,東京都\n".encode("shift-jis"), "line 2 is neither UTF-8 nor Western European text"),
        (b"\xff\xfea\0,\0b", "it begins as UTF-16-LE, and line 1 is not; save it as UTF-8"),
        (b"a,b\n1,\0\0\0\0", "line 2 holds a NUL character"),
        (b"PK\x03\x04rest", "it is a compressed file that is damaged"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "it is a compressed file that is damaged"),
        (zipped("a.csv", "b.csv"), "it is a zip of 2 files; unpack it and name one of them"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "it is an Excel workbook; save it as CSV (UTF-8)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is an Excel workbook"),
        (b"PAR1\x15\x04", "it is a Parquet file; write it as CSV first"),
        (b'[\n  {"a": 1},\n  {"a": 2}\n]\n', "it is JSON, not CSV"),
        (b'{"a": 1}\n{"a": 2}\n', "it is JSON, not CSV"),
        (b"<!DOCTYPE html>\n<html>\n", "it is HTML or XML, not CSV; was it downloaded by its own link?"),
        (b"% iris\n@RELATION iris\n@DATA\n1,2\n", "it is an ARFF file; write it as CSV first"),
        (b" , \n1,2\n", "line 1 names no column; write a line with the names of the columns above it"),
        (b"", "it is empty"),
    ],
)
def test_what_is_no_text_that_can_be_read_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    assert refused(tmp_path, content).startswith(told)


def test_characters_that_were_lost_before_are_told(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a,b\n1,Z�rich\n2,K�ln\n")
    assert table.report.notes == (
        "2 characters are �, the first on line 2: they were lost before this file was written",
    )


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")))
def test_utf8_text_is_never_taken_for_anything_else(text: str) -> None:
    read = decode(b"\xef\xbb\xbfa,b\n" + text.encode())
    assert (read.text, read.encoding) == ("a,b\n" + text, "utf-8")


def test_a_file_that_is_not_there_or_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match=r"nowhere\.csv: no such file"):
        read_csv_table(tmp_path / "nowhere.csv")
    with pytest.raises(TableRefused, match=r": it is a folder; name a CSV file"):
        read_csv_table(tmp_path)
