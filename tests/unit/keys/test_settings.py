"""A door that was meant to be shut, and is not named, keeps the server from starting."""

from pathlib import Path

import pytest
from model_manager.settings import Settings
from pydantic import ValidationError


@pytest.mark.parametrize("name", ["admin_token", "api_keys", "tls_cert", "tls_key", "tls_client_ca"])
def test_an_empty_variable_opens_no_door(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"MODEL_MANAGER_{name.upper()}", "")
    with pytest.raises(ValidationError, match="is empty; name a file, or leave it unset"):
        Settings(models=tmp_path)
