"""Definitions of the custom resources that no package on PyPI has models of: just the fields that the chart renders.

Written by hand after the definitions that Flagger, Argo Rollouts and Gateway API publish, as JSON Schema in which every
object is closed. A field that is not here is one whose name nobody has looked up: look it up there, then add it.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
COUNT: Schema = {"anyOf": [WHOLE, {"type": "string", "pattern": "^[0-9]+%$"}]}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}


def one_of(*values: str) -> Schema:
    """One of some words."""
    return {"enum": list(values)}


def many(item: Schema, least: int = 1, most: int = 64) -> Schema:
    """A list."""
    return {"type": "array", "items": item, "minItems": least, "maxItems": most}


def fields(*required: str, **properties: Schema) -> Schema:
    """An object of these fields and no other."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def resource(api: str, kind: str, spec: Schema) -> Schema:
    """A whole manifest."""
    metadata = fields("name", "namespace", name=NAME, namespace=NAME, labels=TEXTS, annotations=TEXTS)
    named = {"apiVersion": one_of(api), "kind": one_of(kind), "metadata": metadata, "spec": spec}
    return fields("apiVersion", "kind", "metadata", "spec", **named)


PARENT = fields(
    "name",
    name=NAME,
    namespace=NAME,
    sectionName=NAME,
    port=WHOLE,
    kind=TEXT,
    group={"type": "string", "maxLength": 253},
)

# flagger: artifacts/flagger/crd.yaml
TRAFFIC_POLICY = fields(
    loadBalancer=fields("simple", simple=one_of("ROUND_ROBIN", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "LEAST_REQUEST")),
    connectionPool=fields(http=fields(http1MaxPendingRequests=WHOLE, http2MaxRequests=WHOLE, idleTimeout=TEXT)),
    outlierDetection=fields(
        splitExternalLocalOriginErrors=FLAG,
        consecutiveLocalOriginFailures=WHOLE,
        consecutiveGatewayErrors=WHOLE,
        consecutive5xxErrors=WHOLE,
        interval=TEXT,
        baseEjectionTime=TEXT,
        maxEjectionPercent=WHOLE,
    ),
)
INTERVAL: Schema = {"type": "string", "pattern": "^[0-9]+(m|s)"}
CANARY = fields(
    "targetRef",
    "service",
    "analysis",
    provider=one_of("istio", "gatewayapi:v1"),
    targetRef=fields("apiVersion", "kind", "name", apiVersion=one_of("apps/v1"), kind=one_of("Deployment"), name=NAME),
    autoscalerRef=fields(
        "apiVersion",
        "kind",
        "name",
        apiVersion=TEXT,
        kind=one_of("HorizontalPodAutoscaler", "ScaledObject"),
        name=NAME,
        primaryScalerQueries=TEXTS,
    ),
    service=fields(
        "port",
        name=NAME,
        port=WHOLE,
        portName=TEXT,
        targetPort={"type": ["string", "integer"]},
        appProtocol=TEXT,
        apex=fields(annotations=TEXTS, labels=TEXTS),
        timeout=TEXT,
        hosts=many(TEXT),
        gateways=many(TEXT),
        gatewayRefs=many(PARENT, most=32),
        retries=fields(attempts=WHOLE, retryOn=TEXT, perTryTimeout=TEXT),
        trafficPolicy=TRAFFIC_POLICY,
    ),
    analysis=fields(
        "interval",
        "threshold",
        "stepWeights",
        interval=INTERVAL,
        threshold=NUMBER,
        stepWeights=many(NUMBER),
        metrics=many(
            fields(
                "name",
                name=TEXT,
                interval=INTERVAL,
                templateRef=fields("name", name=NAME, namespace=NAME),
                thresholdRange=fields(min=NUMBER, max=NUMBER),
            )
        ),
    ),
)
METRIC_TEMPLATE = fields(
    "provider", "query", provider=fields("type", type=one_of("prometheus"), address=TEXT), query=TEXT
)

# argo-rollouts: manifests/crds
DURATION: Schema = {"type": ["string", "integer"]}
ANALYSIS = fields(
    "templates",
    templates=many(fields("templateName", templateName=NAME)),
    args=many(fields("name", name=TEXT, valueFrom=fields(podTemplateHashValue=one_of("Latest", "Stable")))),
)
METADATA = fields(labels=TEXTS, annotations=TEXTS)
ISTIO = fields(
    virtualService=fields("name", name=NAME, routes=many(TEXT)),
    destinationRule=fields(
        "name", "canarySubsetName", "stableSubsetName", name=NAME, canarySubsetName=TEXT, stableSubsetName=TEXT
    ),
)
ROLLOUT = fields(
    "workloadRef",
    "strategy",
    replicas=WHOLE,
    revisionHistoryLimit=WHOLE,
    workloadRef=fields(
        apiVersion=one_of("apps/v1"),
        kind=one_of("Deployment"),
        name=NAME,
        scaleDown=one_of("never", "onsuccess", "progressively"),
    ),
    strategy=fields(
        canary=fields(
            maxSurge=COUNT,
            maxUnavailable=COUNT,
            canaryMetadata=METADATA,
            stableMetadata=METADATA,
            trafficRouting=fields(istio=ISTIO),
            steps=many(fields(setWeight=PERCENT, pause=fields(duration=DURATION), analysis=ANALYSIS)),
        )
    ),
)
ANALYSIS_TEMPLATE = fields(
    "metrics",
    args=many(fields("name", name=TEXT, value=TEXT)),
    metrics=many(
        fields(
            "name",
            "provider",
            "count",  # which the definition does not ask for, but the controller of any metric of a step
            name=TEXT,
            interval=DURATION,
            count={"type": "integer", "minimum": 1},
            successCondition=TEXT,
            failureCondition=TEXT,
            inconclusiveLimit=WHOLE,
            consecutiveSuccessLimit=WHOLE,
            failureLimit=WHOLE,
            consecutiveErrorLimit=WHOLE,
            provider=fields(prometheus=fields("address", "query", address=TEXT, query=TEXT)),
        )
    ),
)

# gateway-api: config/crd/standard
BACKEND: Schema = {"name": NAME, "port": WHOLE}
HTTP_ROUTE = fields(
    parentRefs=many(PARENT, most=32),
    hostnames=many(TEXT, most=16),
    rules=many(
        fields(
            matches=many(
                fields(
                    headers=many(
                        fields(
                            "name",
                            "value",
                            type=one_of("Exact", "RegularExpression"),
                            name={"type": "string", "pattern": "^[A-Za-z0-9!#$%&'*+\\-.^_|~]+$"},
                            value={"type": "string", "minLength": 1, "maxLength": 4096},
                        ),
                        most=16,
                    )
                ),
                most=64,
            ),
            backendRefs=many(fields("name", **BACKEND, weight={"type": "integer", "minimum": 0}), most=16),
            timeouts=fields(request=TEXT),
            filters=many(
                fields(
                    "type",
                    type=one_of("RequestMirror"),
                    requestMirror=fields("backendRef", backendRef=fields("name", **BACKEND), percent=PERCENT),
                ),
                most=16,
            ),
        ),
        most=16,
    ),
)

GRPC_ROUTE = fields(
    parentRefs=many(PARENT, most=32),
    hostnames=many(TEXT, most=16),
    rules=many(
        fields(
            matches=many(
                fields(
                    headers=many(
                        fields(
                            "name",
                            "value",
                            type=one_of("Exact", "RegularExpression"),
                            name={"type": "string", "pattern": "^[A-Za-z0-9!#$%&'*+\\-.^_|~]+$"},
                            value={"type": "string", "minLength": 1, "maxLength": 4096},
                        ),
                        most=16,
                    )
                ),
                most=64,
            ),
            backendRefs=many(fields("name", **BACKEND, weight={"type": "integer", "minimum": 0}), most=16),
            filters=many(
                fields(
                    "type",
                    type=one_of("RequestMirror"),
                    requestMirror=fields("backendRef", backendRef=fields("name", **BACKEND), percent=PERCENT),
                ),
                most=16,
            ),
        ),
        most=16,
    ),
)

DEFINITIONS = {
    kind: resource(api, kind, spec)
    for api, kind, spec in (
        ("flagger.app/v1beta1", "Canary", CANARY),
        ("flagger.app/v1beta1", "MetricTemplate", METRIC_TEMPLATE),
        ("argoproj.io/v1alpha1", "Rollout", ROLLOUT),
        ("argoproj.io/v1alpha1", "AnalysisTemplate", ANALYSIS_TEMPLATE),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", HTTP_ROUTE),
        ("gateway.networking.k8s.io/v1", "GRPCRoute", GRPC_ROUTE),
    )
}
"""By kind, what each manifest of it must look like."""
