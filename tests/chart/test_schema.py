"""What the schema refuses, and that Helm says where."""

import pytest

from tests.chart.chart import Helm


@pytest.mark.parametrize(
    ("sets", "place", "said"),
    [
        ({"tracks.stable.wieght": "100"}, "tracks/stable", "wieght"),
        ({"trakcs.stable.weight": "100"}, "", "trakcs"),
        ({"settings.time_out": "1"}, "settings", "time_out"),
        ({"istio.outlierDetection.consecutive5xxErrors": "5"}, "istio/outlierDetection", "consecutive5xxErrors"),
        ({"tracks.Canary.weight": "0"}, "", "Canary"),
        ({"tracks.stable.weight": "101"}, "tracks/stable/weight", ""),
        ({"tracks.canary.replicas": "1"}, "tracks/canary", "weight"),
        ({"tracks.canary.settings.port": "1", "tracks.canary.weight": "0"}, "tracks/canary/settings", "port"),
        ({"routing": "linkerd"}, "routing", ""),
        ({"settings.logLevel": "loud"}, "settings/logLevel", ""),
        ({"route.timeout": "6"}, "route/timeout", ""),
        ({"route.hosts[0]": "*"}, "route/hosts/0", ""),
        ({"istio.retries.retryOn[0]": "5xx"}, "istio/retries/retryOn/0", ""),
        ({"istio.retries.retryOn[0]": "reset"}, "istio/retries/retryOn/0", ""),
        ({"secrets.keys.mounted": "true"}, "secrets/keys", "mounted"),
        ({"tracing.protocol": "http"}, "tracing/protocol", ""),
        ({"progressive": "keptn"}, "progressive", ""),
        ({"analysis.interval": "1h"}, "analysis/interval", ""),
        ({"analysis.stepWeights[0]": "100"}, "analysis/stepWeights/0", ""),
        ({"keda.minReplicas": "0"}, "keda/minReplicas", ""),
        ({"image.digest": "latest"}, "image/digest", ""),
        ({"shutdown.preStopSleepS": "0"}, "shutdown/preStopSleepS", ""),
        ({"tracks.stable.models.iris.versions.1.sha256": "abc"}, "tracks/stable/models/iris/versions/1", "artifact"),
        ({"tracks.stable.models.iris.default": "1"}, "tracks/stable/models/iris", "versions"),
        ({"artifacts.volumes.shared.claim": "models"}, "artifacts/volumes/shared", "claim"),
        ({"securityContext.runAsUser": "0"}, "securityContext/runAsUser", ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_the_schema_refuses_and_says_where(helm: Helm, sets: dict[str, str], place: str, said: str) -> None:
    message = helm.refuses(sets)
    assert "values don't meet the specifications of the schema" in message
    assert said in message
    assert place in message or place.replace("/", ".") in message
