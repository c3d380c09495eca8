"""What the words after `artifact:` mean, and which are refused."""

import pytest
from model_manager.repository.location import local_path, scheme_of, without_credentials


@pytest.mark.parametrize(
    ("artifact", "path"),
    [
        ("iris-1.joblib", "iris-1.joblib"),
        ("./iris/1/model.joblib", "iris/1/model.joblib"),
        ("/mnt/models/iris//1/model.joblib", "/mnt/models/iris/1/model.joblib"),
        ("/mnt/../models/a.joblib", "/models/a.joblib"),
        ("file:///mnt/a%20b.joblib", "/mnt/a b.joblib"),
        ("FILE:///mnt/a#1?.joblib", "/mnt/a#1?.joblib"),
        ("a:b.joblib", "a:b.joblib"),
    ],
)
def test_paths_and_file_uris_are_local(artifact: str, path: str) -> None:
    assert local_path(artifact) == path


@pytest.mark.parametrize("artifact", ["s3://models/iris/2/model.joblib", "https://host/a/../b", "foo://x"])
def test_any_other_uri_is_remote(artifact: str) -> None:
    assert local_path(artifact) is None


@pytest.mark.parametrize(
    ("artifact", "problem"),
    [
        ("", "names no file"),
        ("iris/", "names no file"),
        ("../other/model.joblib", "leaves the models folder"),
        ("iris/../../model.joblib", "leaves the models folder"),
        ("a\0b", "NUL"),
        ("file:///a%00b", "NUL"),
        ("file://host/a", "no host"),
        ("file://", "no host"),
        ("file:///", "names no file"),
        ("file:/a", "three slashes"),
        ("file:///%ff", "can't decode"),
    ],
)
def test_what_can_be_no_path_is_refused_with_a_reason(artifact: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        local_path(artifact)


@pytest.mark.parametrize(
    ("location", "scheme"), [("/a/b", None), ("a://b", "a"), ("S3://b", "s3"), ("1a://b", None), ("a/b://c", None)]
)
def test_the_scheme_of_a_location(location: str, scheme: str | None) -> None:
    assert scheme_of(location) == scheme


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://bucket/a/b.csv", "s3://bucket/a/b.csv"),
        ("/mnt/data/a?b@c.csv", "/mnt/data/a?b@c.csv"),
        ("https://anna:pa:ss%40word@host:8443/a@b.csv", "https://host:8443/a@b.csv"),
        ("https://token@host/a.csv", "https://host/a.csv"),
        ("https://anna:p#a?s@host/a.csv", "https://host/a.csv"),
        ("https://b.s3.amazonaws.com/a.csv?versionId=7&X-Amz-Credential=AKIA&X-Amz-Signature=ab",
         "https://b.s3.amazonaws.com/a.csv?versionId=7&…"),
        ("https://acc.blob.core.windows.net/c/a.csv?sv=2022&sig=ab%3D", "https://acc.blob.core.windows.net/c/a.csv?…"),
        ("gs://b/a.csv?generation=3", "gs://b/a.csv?generation=3"),
        ("https://host/a.csv#access_token=abc", "https://host/a.csv#…"),
        ("postgresql+psycopg2://user:pw@db:5432/sales?sslpassword=x", "postgresql+psycopg2://db:5432/sales?…"),
        ("jdbc:sqlserver://db:1433;databaseName=sales;user=sa;password=p@ss",
         "jdbc:sqlserver://db:1433;databaseName=sales;user=…;password=…"),
        ("jdbc:postgresql://user:pw@db/sales", "jdbc:postgresql://db/sales"),
        ("file:///home/anna/customers.csv", "file:///home/anna/customers.csv"),
        ("git@github.com:org/data.git", "git@github.com:org/data.git"),
        ("jdbc:oracle:thin:scott/tiger@//db:1521/sales", "jdbc:oracle:thin://db:1521/sales"),
        ("AccountName=data;AccountKey=c2V/cmV+0==;EndpointSuffix=core.windows.net",
         "AccountName=data;AccountKey=…;EndpointSuffix=core.windows.net"),
        ("BlobEndpoint=https://data.example.com/;AccountKey=c2V/cmV+0==", "BlobEndpoint=https://data.example.com/;AccountKey=…"),
        ("Server=tcp:db,1433;User ID=sa;Password=p@ss;", "Server=tcp:db,1433;User ID=…;Password=…;"),
        ("/mnt/data/user=anna/key=3/a.csv", "/mnt/data/user=anna/key=3/a.csv"),
    ],
)  # fmt: skip
def test_credentials_are_left_out_of_what_is_shown(uri: str, shown: str) -> None:
    assert without_credentials(uri) == shown
    assert without_credentials(shown) == shown
