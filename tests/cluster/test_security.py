"""Who gets in: mTLS alone, identities of workloads, identities in tokens, and what each may ask."""

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.cluster.staging import IRIS, Document, Namespace, question

SERVICE = "models-model-manager"
ISSUER: Final = "https://login.example.com"
KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
REFUSED: Final = 0
"""No answer at all, or none of the server's."""


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key: rsa.RSAPrivateKey = KEY, **claims: object) -> dict[str, str]:
    """The header with a token of the issuer, unless the claims say otherwise."""
    said = {"iss": ISSUER, "sub": "ada", "exp": int(time.time()) + 600} | claims
    head = {"alg": "RS256", "kid": "1", "typ": "JWT"}
    text = ".".join(encoded(json.dumps(each).encode()) for each in (head, said))
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return {"authorization": f"Bearer {text}.{encoded(signature)}"}


def key_set() -> str:
    numbers = KEY.public_key().public_numbers()
    key = {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig"}
    key |= {
        name: encoded(value.to_bytes((value.bit_length() + 7) // 8))
        for name, value in (("n", numbers.n), ("e", numbers.e))
    }
    return json.dumps({"keys": [key]})


@pytest.fixture(scope="module")
def models(namespace: Namespace, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    """Two models under STRICT mTLS: `shop` may ask iris, whoever has a token of the issuer may ask all."""
    namespace.apply_models("models", samples, default="1")
    namespace.apply(
        *({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in ("shop", "stranger"))
    )
    issuers = {"people": {"issuer": ISSUER, "jwks": key_set()}}
    istio: dict[str, Any] = {
        "peerAuthentication": {"enabled": True},
        "requestAuthentication": {"enabled": True, "issuers": issuers},
        "authorization": {
            "enabled": True,
            "callers": {
                "shop": {"principals": [f"cluster.local/ns/{namespace.name}/sa/shop"], "models": ["iris"]},
                "people": {"requestPrincipals": [f"{ISSUER}/*"]},
            },
            "metricsNamespaces": [namespace.name],
        },
    }
    values = tmp_path_factory.mktemp("values") / "values.json"
    test = {"model": "iris", "instances": [[6.0, 2.8, 4.8, 1.6]], "predictions": ["versicolor"]}
    values.write_text(json.dumps({"istio": istio, "test": test, "replicas": 1}), encoding="utf-8")
    namespace.install({"routing": "istio", "tracks.stable.existingConfigMap": "models"}, values=values)
    return namespace


def asked(path: str = IRIS, method: str = "POST", headers: Mapping[str, str] | None = None) -> Document:
    return question(SERVICE, path, method=method, headers=headers)


def test_a_workload_gets_what_it_is_allowed(models: Namespace) -> None:
    answers = models.ask(
        asked(),
        asked("/v1/models/other:predict"),
        asked("/v1/models/iris-secret:predict"),
        asked("/v2/models", "GET"),
        asked("/v2/health/ready", "GET"),
        account="shop",
    )
    assert [each.status for each in answers] == [200, 403, 403, 403, 200]


def test_a_stranger_in_the_mesh_gets_in_with_a_token_alone(models: Namespace) -> None:
    answers = models.ask(
        asked(),
        asked(headers=token()),
        asked("/v2/models", "GET", token()),
        asked(headers=token(exp=int(time.time()) - 600)),
        asked(headers=token(iss="https://elsewhere.example.com")),
        asked(headers=token(ANOTHER_KEY)),
        asked(headers={"authorization": "Bearer nonsense"}),
        asked("/v2/health/live", "GET"),
        account="stranger",
    )
    assert [each.status for each in answers] == [403, 200, 200, 401, 401, 401, 401, 200]


def test_nobody_outside_of_the_mesh_is_heard(models: Namespace) -> None:
    (pod,) = models.pods()
    address = pod["status"]["podIP"]
    answers = models.ask(
        asked(headers=token()),
        question(f"{address}:8080", headers=token()),
        question(f"{address}:8081", "/metrics", method="GET"),
        account="shop",
        sidecar=False,
    )
    assert [each.status for each in answers] == [REFUSED] * 3


def test_helm_test_passes_under_all_of_it(models: Namespace) -> None:
    models.helm("test", "models", "--timeout", "120s")
