"""Only what the operator names is fetched, however it is written; and no redirect leads elsewhere."""

from pathlib import Path

import pytest
from model_manager.errors import StartRefused
from model_manager.repository.remote_places import Places

from tests.artifact_server import ArtifactServer, Request, artifact_server
from tests.unit.stores.staging import CONTENT, fetch, refusal, remote, wanted

PLACES = Places.parse("s3://models/production/, https://artifacts.example.com, gs://")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://models/production/iris/model.joblib",
        "https://artifacts.example.com/iris/model.joblib?X-Amz-Signature=1",
        "https://reader:secret@ARTIFACTS.example.com/iris.joblib",
        "gs://any/iris.joblib",
    ],
)
def test_what_is_below_a_named_place_is_fetched(uri: str) -> None:
    assert PLACES.allow(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://models/production-not/iris.joblib",
        "s3://models/iris.joblib",
        "s3://models/production/../iris.joblib",
        "s3://models/production/%2e%2e/iris.joblib",
        "s3://models/production/%252e%252e/iris.joblib",
        "s3://models/production/..\\iris.joblib",
        "https://artifacts.example.com.evil.org/iris.joblib",
        "https://artifacts.example.com:8443/iris.joblib",
        "https://artifacts.example.com@evil.org/iris.joblib",
        "https://[/iris.joblib",
        "http://artifacts.example.com/iris.joblib",
        "az://models/iris.joblib",
    ],
)
def test_nothing_else_is(uri: str) -> None:
    assert not PLACES.allow(uri)


@pytest.mark.parametrize("text", ["models/", "ftp://host/", "s3://key@models", "https://host/?a=b"])
def test_what_is_no_place_does_not_start_a_server(text: str) -> None:
    with pytest.raises(StartRefused, match="give beginnings of URIs"):
        Places.parse(text)


def test_what_is_not_allowed_is_not_asked_for(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    error = refusal(remote(tmp_path, "s3://,https://"), wanted(uri))
    assert error.reason == "not_allowed"
    assert "(--artifact-stores s3://, https://)" in str(error)
    assert store.asked == []


@pytest.mark.parametrize("named", [False, True])
def test_a_redirect_leads_to_named_hosts_only(store: ArtifactServer, uri: str, tmp_path: Path, named: bool) -> None:
    with artifact_server() as other:
        other.files["/elsewhere"] = CONTENT

        def redirect(request: Request) -> bool:
            request.answer(302, b"", {"location": f"{other.url}/elsewhere?token=hunter2"})
            return True

        store.fault = redirect
        secret = uri.replace("http://", "http://reader:hunter2@")
        if named:
            other.files["/elsewhere?token=hunter2"] = CONTENT
            assert fetch(remote(tmp_path, f"http://,{other.url}"), wanted(secret)) == CONTENT
        else:
            error = refusal(remote(tmp_path, "http://"), wanted(secret))
            assert (error.reason, other.asked) == ("not_allowed", [])
            assert f"redirects to {other.url}/elsewhere, which --artifact-stores does not name" in str(error)
            assert "hunter2" not in str(error)


def test_a_redirect_within_the_host_is_followed_but_not_in_circles(
    store: ArtifactServer, uri: str, tmp_path: Path
) -> None:
    def redirect(request: Request) -> bool:
        request.answer(307, b"", {"location": "/round"})
        return True

    store.fault = redirect
    assert "redirects more than 5 times" in str(refusal(remote(tmp_path), wanted(uri)))


def test_credentials_go_to_their_host_and_nowhere_else(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    heard: list[str | None] = []

    def hear(request: Request) -> bool:
        heard.append(request.headers.get("authorization"))
        return False

    store.fault = hear
    with artifact_server() as first:

        def redirect(request: Request) -> bool:
            heard.append(request.headers.get("authorization"))
            request.answer(302, b"", {"location": uri})
            return True

        first.fault = redirect
        secret = f"{first.url}/model.joblib".replace("http://", "http://reader:hunter2@")
        assert fetch(remote(tmp_path, f"{first.url},{store.url}"), wanted(secret)) == CONTENT
    assert heard == ["Basic cmVhZGVyOmh1bnRlcjI=", None]
