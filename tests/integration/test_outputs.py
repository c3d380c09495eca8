"""What estimators can answer, asked of a real server by both protocols: every output is the estimator's own answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import scipy.sparse
from model_manager import write_package
from sklearn.cluster import Birch, KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import ARDRegression, BayesianRidge, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import (
    KernelDensity,
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    NearestNeighbors,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeRegressor

from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put

X, SPECIES = load_iris(return_X_y=True)
NAMES: Final = np.array(["setosa", "versicolor", "virginica"], dtype=object)[SPECIES]
SIZES: Final = np.where(X[:, 0] > 5.8, "large", "small").astype(object)
TWO_LABELS: Final = np.stack([NAMES, SIZES], axis=1)
INDICATORS: Final = np.stack([X[:, 0] > 5.8, X[:, 1] > 3, X[:, 2] > 4.3], axis=1).astype(int)
NUMBERS, QUANTITY = load_diabetes(return_X_y=True)
NUMBERS, QUANTITY = NUMBERS[:80], QUANTITY[:80]
TWO_QUANTITIES: Final = np.stack([QUANTITY, -QUANTITY / 2], axis=1)

P, PP, DF, SS, T = "predict", "predict_proba", "decision_function", "score_samples", "transform"
LOG, STD, NEAR, APPLY = "predict_log_proba", "std", "kneighbors_indices kneighbors_distances", "apply"

MODELS: Final[dict[str, tuple[Any, str, str]]] = {
    # what only a method kept away
    "neighbours": (NearestNeighbors(n_neighbors=3).fit(X), NEAR, ""),
    "scaled-neighbours": (make_pipeline(StandardScaler(), NearestNeighbors(n_neighbors=4)).fit(X), NEAR, ""),
    "vote-of-neighbours": (KNeighborsClassifier().fit(X, NAMES), f"{P} {PP}", NEAR),
    "mean-of-neighbours": (
        GridSearchCV(
            make_pipeline(StandardScaler(), KNeighborsRegressor()), {"kneighborsregressor__n_neighbors": [2, 5]}, cv=2
        ).fit(NUMBERS, QUANTITY),
        P,
        NEAR,
    ),
    "process": (GaussianProcessRegressor(alpha=0.1, optimizer=None).fit(NUMBERS, QUANTITY), P, STD),
    "process-of-two": (GaussianProcessRegressor(alpha=0.1, optimizer=None).fit(NUMBERS, TWO_QUANTITIES), P, STD),
    "bayes": (make_pipeline(StandardScaler(), BayesianRidge()).fit(NUMBERS, QUANTITY), P, STD),
    "relevance": (GridSearchCV(ARDRegression(), {}, cv=2).fit(NUMBERS, QUANTITY), P, STD),
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression()).fit(X, NAMES), f"{P} {PP} {DF}", LOG),
    "tree": (DecisionTreeRegressor(max_depth=4).fit(NUMBERS, QUANTITY), P, APPLY),
    "forest": (RandomForestClassifier(7, random_state=0).fit(X, NAMES), f"{P} {PP}", f"{LOG} {APPLY}"),
    "scaled-forest": (
        make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0)).fit(NUMBERS, QUANTITY),
        P,
        APPLY,
    ),
    "boosting": (GradientBoostingRegressor(n_estimators=4).fit(NUMBERS, QUANTITY), P, APPLY),
    "boosting-of-three": (
        GradientBoostingClassifier(n_estimators=3).fit(X, NAMES),
        f"{P} {PP} {DF}",
        f"{LOG} {APPLY}",
    ),
    # what is no single array of one value a row
    "forest-of-two-labels": (
        RandomForestClassifier(5, random_state=0).fit(X, TWO_LABELS),
        f"{P} {PP}_0 {PP}_1",
        f"{LOG}_0 {LOG}_1 {APPLY}",
    ),
    "two-labels": (MultiOutputClassifier(GaussianNB()).fit(X, TWO_LABELS), f"{P} {PP}_0 {PP}_1", ""),
    "two-quantities": (MultiOutputRegressor(Ridge()).fit(NUMBERS, TWO_QUANTITIES), P, ""),
    "any-of-three": (OneVsRestClassifier(LogisticRegression()).fit(X, INDICATORS), f"{P} {PP} {DF}", ""),
    "any-of-three-neighbours": (KNeighborsClassifier().fit(X, INDICATORS), f"{P} {PP}_0 {PP}_1 {PP}_2", NEAR),
    "any-of-three-sparse": (
        OneVsRestClassifier(LogisticRegression()).fit(X, scipy.sparse.csr_matrix(INDICATORS)),
        f"{P} {PP} {DF}",
        "",
    ),
    "chain": (
        ClassifierChain(LogisticRegression(), random_state=0).fit(X, INDICATORS),
        f"{P} {PP} {DF}",
        LOG,
    ),
    "log-of-target": (
        TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp).fit(NUMBERS, QUANTITY),
        P,
        "",
    ),
    "log-of-process": (
        TransformedTargetRegressor(
            GaussianProcessRegressor(alpha=0.1, optimizer=None), func=np.log, inverse_func=np.exp
        ).fit(NUMBERS, QUANTITY),
        P,
        "",
    ),
    "least-squares": (PLSRegression(n_components=2).fit(NUMBERS, TWO_QUANTITIES), f"{P} {T}", ""),
    # scores, outliers, clusters, components
    "isolation": (IsolationForest(n_estimators=5, random_state=0).fit(X), f"{P} {DF} {SS}", ""),
    "one-class": (OneClassSVM().fit(X), f"{P} {DF} {SS}", ""),
    "envelope": (EllipticEnvelope(random_state=0).fit(X), f"{P} {DF} {SS}", ""),
    "novelty": (LocalOutlierFactor(novelty=True).fit(X), f"{P} {DF} {SS}", NEAR),
    "density": (KernelDensity().fit(X), SS, ""),
    "mixture": (GaussianMixture(2, random_state=0).fit(X), f"{P} {PP} {SS}", ""),
    "means": (KMeans(3, n_init=1, random_state=0).fit(X), f"{P} {T}", ""),
    "birch": (Birch(n_clusters=3).fit(X), f"{P} {T}", ""),
    "components": (PCA(2).fit(X), f"{T} {SS}", ""),
    "leaves": (RandomTreesEmbedding(n_estimators=3, random_state=0).fit(X), T, APPLY),
    "flags": (OneHotEncoder(handle_unknown="ignore").fit(X.round()), T, ""),
}
"""Estimators, the outputs that V2 answers with where a request names none, and those that answer on request."""

THROUGH: Final = {"neighbours", "vote-of-neighbours", "process", "forest", "forest-of-two-labels", "any-of-three"}
"""Those that are also served from a package."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    repository = tmp_path_factory.mktemp("models")
    for name, (estimator, _, _) in MODELS.items():
        put(repository, name, "1", dump(estimator))
    for name in THROUGH:
        write_package(MODELS[name][0], name=f"{name}-packed", version="1", repository=repository, sample=rows_of(name))
    with live_server(repository, compile="off") as live:  # that forms give the same answers is tested where they are
        yield live


@pytest.mark.parametrize("name", [*MODELS, *(f"{name}-packed" for name in sorted(THROUGH))])
@pytest.mark.parametrize("count", [1, 5])
def test_every_output_is_the_estimators_own_answer_by_both_protocols(server: LiveServer, name: str, count: int) -> None:
    own = name.removesuffix("-packed")
    estimator, default, on_request = MODELS[own]
    rows = rows_of(own)[:count]
    named = {output: own_answer(estimator, output, rows) for output in [*default.split(), *on_request.split()]}

    described = server.api.get(f"/v2/models/{name}").json()["outputs"]
    assert [one["name"] for one in described if "on_request" not in one.get("parameters", {})] == default.split()
    assert [one["name"] for one in described if one.get("parameters", {}).get("on_request")] == on_request.split()
    for one in described:
        assert tuple(one["shape"][1:]) == named[one["name"]].shape[1:], one

    everything = [{"name": output} for output in named]
    for asked, expected in ((None, default.split()), (everything, [*named])):
        answered = infer(server, name, rows, asked)
        assert [one["name"] for one in answered] == expected
        for one in answered:
            same(np.array(one["data"]).reshape(one["shape"]), named[one["name"]])
            assert one["datatype"] == next(other["datatype"] for other in described if other["name"] == one["name"])

    together = server.predict(name, rows.tolist(), outputs=[*named]).json()["predictions"]
    for output, expected_values in named.items():
        alone = server.predict(name, rows.tolist(), signature_name=output).json()["predictions"]
        same(np.array(alone), expected_values)
        if len(named) > 1:
            same(np.array([row[output] for row in together]), expected_values)
    first = server.predict(name, rows.tolist()).json()["predictions"]
    same(np.array(first), named[default.split()[0]])


def test_an_output_that_is_not_there_is_told_with_those_that_are(server: LiveServer) -> None:
    response = server.predict("process", NUMBERS[:1].tolist(), signature_name="apply")
    assert response.status_code == 400
    assert 'unknown output "apply"; this version has "predict", "std"' in response.json()["error"]


def test_sparse_answers_are_dense_up_to_a_bound_and_refused_beyond_it(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(20_000)]
    counts = CountVectorizer().fit(words)
    put(tmp_path, "counts", "1", dump(counts))
    put(tmp_path, "hashes", "1", dump(HashingVectorizer()))
    with live_server(tmp_path, wait=False) as server:
        wait_until(lambda: server.index().keys() == {("counts", "1"), ("hashes", "1")}, "both to be known")
        wait_until(lambda: server.status("counts", "1")[0] == "READY", "the words to be ready")
        wait_until(lambda: server.status("hashes", "1")[0] == "UNAVAILABLE", "the hashes to be refused")
        assert "transform answers a sparse matrix of 1,048,576 columns" in server.status("hashes", "1")[1]
        answer = server.predict("counts", ["word7 word7 other", "word19999"]).json()["predictions"]
        same(np.array(answer), counts.transform(["word7 word7 other", "word19999"]).toarray())
        refused = server.predict("counts", ["word7"] * 420)
        assert refused.status_code == 400
        assert "at most 419 rows at once, got 420" in refused.json()["error"]
        described = server.api.get("/v2/models/counts").json()["outputs"]
        assert [(one["shape"], one["parameters"]) for one in described] == [([-1, 20_000], {"max_rows": 419})]


def rows_of(name: str) -> Any:
    estimator = MODELS[name][0]
    if name == "flags":
        return X.round()[::29]
    return (X if estimator.n_features_in_ == X.shape[1] else NUMBERS)[::13]


def infer(server: LiveServer, name: str, rows: Any, outputs: Any) -> Any:
    tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
    body = {"inputs": [tensor]} | ({"outputs": outputs} if outputs else {})
    response = server.api.post(f"/v2/models/{name}/infer", json=body)
    assert response.status_code == 200, response.text
    return response.json()["outputs"]


def own_answer(estimator: Any, output: str, rows: Any) -> Any:
    """What its author gets, written as the author would."""
    if output in ("predict", "predict_proba", "decision_function", "score_samples", "transform", "predict_log_proba"):
        with np.errstate(divide="ignore"):
            answer = getattr(estimator, output)(rows)
    elif output.startswith("predict_"):
        method, _, index = output.rpartition("_")
        with np.errstate(divide="ignore"):
            answer = getattr(estimator, method)(rows)[int(index)]
    else:
        estimator = getattr(estimator, "best_estimator_", estimator)
        if hasattr(estimator, "steps"):
            rows, estimator = estimator[:-1].transform(rows), estimator[-1]
        if output == "std":
            answer = estimator.predict(rows, return_std=True)[1]
        elif output == "apply":
            answer = estimator.apply(rows)
        else:
            answer = estimator.kneighbors(rows)[output == "kneighbors_indices"]
    return answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)


def same(answer: Any, expected: Any) -> None:
    assert answer.shape == expected.shape
    if expected.dtype.kind == "f":
        values = np.where(answer == None, np.nan, answer).astype(float)  # noqa: E711  each element is compared
        # JSON has no infinity: null stands for the logarithm of nothing.
        np.testing.assert_allclose(values, np.where(np.isinf(expected), np.nan, expected), rtol=1e-9, atol=1e-12)
    else:
        assert answer.tolist() == expected.tolist()
