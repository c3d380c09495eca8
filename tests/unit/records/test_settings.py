"""What settings make a stream, what is refused at the start, and what the start says."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
from model_manager.errors import StartRefused
from model_manager.records import stream as records
from model_manager.records.sinks import FileSink
from model_manager.records.stream import RecordStream
from model_manager.settings import Settings
from pydantic import ValidationError

from tests.unit.records.staging import offer, stream


def test_settings_ask_for_a_stream_or_none(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RecordStream.from_settings(Settings(models=tmp_path)) is None
    monkeypatch.setenv("MODEL_MANAGER_RECORDS", str(path))
    monkeypatch.setenv("MODEL_MANAGER_RECORDS_SAMPLE", "0")
    monkeypatch.setenv("MODEL_MANAGER_RECORDS_REDACT", "age, region")
    settings = Settings(models=tmp_path)
    recording = RecordStream.from_settings(settings)
    assert recording is not None
    offer(recording)
    assert recording.sampled_out == 1
    assert recording._format.redact == {"age", "region"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"records": "ftp://host/x"}, "--records 'ftp://host/x': ftp is not supported"),
        ({"records": "/absent/records.jsonl"}, "--records /absent/records.jsonl: cannot be appended to"),
        ({"records": "http://host/", "records_redact": "a,,b"}, "--records-redact 'a,,b': there is an empty name"),
    ],
)
def test_what_cannot_be_used_is_refused_at_start(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StartRefused, match=f"^{said}"):
        RecordStream.from_settings(Settings(models=tmp_path, **settings))


@pytest.mark.parametrize("sample", [-0.1, 1.1, math.nan])
def test_a_share_is_between_nothing_and_all(tmp_path: Path, sample: float) -> None:
    with pytest.raises(ValidationError):
        Settings(models=tmp_path, records_sample=sample)


def test_the_start_says_where_records_go(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, records.__name__)
    with stream(FileSink(str(path)), frozenset({"b", "a"}), sample=0.5):
        pass
    (line,) = caplog.records
    assert (line.__dict__["to"], line.__dict__["sample"], line.__dict__["redacted"]) == (str(path), 0.5, "a, b")
