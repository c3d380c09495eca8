"""The zoo: whatever form an estimator is given, its answers are scikit-learn's own, on rows the proof never saw."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.compiled.proof.verdict import ATOL, RTOL
from model_manager.inference.predictor import Predictor, SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from model_manager.signature import Array, Rows
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

STRINGS: Final = ["contract", "region"]
NUMBERS: Final = ["age", "tenure", "charges"]


def _customers(rows: int = 600, seed: int = 0) -> tuple[pd.DataFrame, Array]:
    """A table of strings and numbers with gaps, and a label that depends on both."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "contract": random.choice(["monthly", "yearly", "biennial"], rows),
            "region": random.choice(["north", "south", "östlich", "west"], rows),
            "age": random.normal(46, 16, rows).round(),
            "tenure": random.gamma(2.0, 14.0, rows),
            "charges": random.normal(60, 20, rows),
        }
    )
    score = (table["contract"] == "monthly") * 2 - table["tenure"] / 20 + random.normal(0, 0.5, rows)
    table.loc[random.random(rows) < 0.1, "age"] = np.nan
    return table, np.where(score > 0.3, "leaves", "stays")


def _encoded(head: Any, **encoder: Any) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("strings", OneHotEncoder(**({"handle_unknown": "ignore"} | encoder)), STRINGS), ("numbers", numbers, NUMBERS)]
    )
    return make_pipeline(columns, head)


def _ordinal(head: Any) -> Pipeline:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(ColumnTransformer([("strings", encoder, STRINGS)], remainder="passthrough"), head)


SPECIES: Final = np.array(["setosa", "versicolor", "virginica"])
NATIVE: Final = {"onnx-trees", "numpy"}

FLOWERS: Final[dict[str, tuple[Any, bool]]] = {
    "logistic pipeline": (make_pipeline(StandardScaler(), LogisticRegression()), True),
    "ridge classifier": (make_pipeline(MinMaxScaler(), RidgeClassifier()), True),
    "perceptron": (make_pipeline(RobustScaler(), Perceptron()), True),
    "sgd log loss": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), True),
    "linear svc": (LinearSVC(), True),
    "lda": (LinearDiscriminantAnalysis(), True),
    "pca and logistic": (make_pipeline(StandardScaler(), PCA(2, whiten=True), LogisticRegression()), True),
    "select and logistic": (make_pipeline(SelectKBest(k=2), MaxAbsScaler(), LogisticRegression()), True),
    "decision tree": (DecisionTreeClassifier(random_state=0), True),
    "random forest": (RandomForestClassifier(20, random_state=0), True),
    "scaled forest": (make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)), True),
    "extra trees": (ExtraTreesClassifier(20, random_state=0), True),
    "gradient boosting": (GradientBoostingClassifier(n_estimators=10, random_state=0), True),
    "histogram boosting": (HistGradientBoostingClassifier(max_iter=10, random_state=0), True),
    "grid search": (GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}, cv=2), True),
    "svc": (SVC(), False),
    "knn": (KNeighborsClassifier(), False),
    "gaussian nb": (GaussianNB(), False),
    "qda": (QuadraticDiscriminantAnalysis(), False),
    "mlp": (
        make_pipeline(StandardScaler(), MLPClassifier([8], max_iter=60, random_state=0)),
        False,
    ),
    "adaboost": (AdaBoostClassifier(n_estimators=5, random_state=0), False),
    "bagging": (BaggingClassifier(n_estimators=5, random_state=0), False),
    "voting": (VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"), False),
    "calibrated": (CalibratedClassifierCV(LinearSVC(), cv=2), False),
}
"""Fitted on iris with names of species; True where a form of our own must be found and proven."""

NUMERIC: Final[dict[str, tuple[Any, bool]]] = {
    "linear regression": (LinearRegression(), True),
    "ridge pipeline": (make_pipeline(StandardScaler(), Ridge()), True),
    "elastic net": (ElasticNet(0.01), True),
    "poisson": (make_pipeline(StandardScaler(), PoissonRegressor()), True),
    "polynomial": (make_pipeline(PolynomialFeatures(2), Ridge()), True),
    "tree": (DecisionTreeRegressor(max_depth=6, random_state=0), True),
    "forest": (RandomForestRegressor(20, random_state=0), True),
    "extra trees": (ExtraTreesRegressor(10, random_state=0), True),
    "gradient boosting": (GradientBoostingRegressor(n_estimators=20, random_state=0), True),
    "histogram boosting": (HistGradientBoostingRegressor(max_iter=20, random_state=0), True),
    "histogram boosting poisson": (HistGradientBoostingRegressor(loss="poisson", max_iter=9, random_state=0), True),
    "svr": (SVR(), False),
    "knn": (KNeighborsRegressor(), False),
    "mlp": (make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=60, random_state=0)), False),
    "gaussian process": (make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=0.1)), False),
    "log target": (TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp), False),
    "stacking": (StackingRegressor([("a", Ridge()), ("b", LinearRegression())], cv=2), False),
}
"""Regressors, fitted on diabetes."""

UNSUPERVISED: Final[dict[str, tuple[Any, bool]]] = {
    "isolation forest": (IsolationForest(n_estimators=20, random_state=0), True),
    "isolation forest of some columns": (
        IsolationForest(n_estimators=20, max_features=0.5, random_state=0),
        True,
    ),
    "scaler": (StandardScaler(), True),
    "pca": (make_pipeline(StandardScaler(), PCA(3)), True),
    "svd": (TruncatedSVD(3, random_state=0), True),
    "quantiles": (QuantileTransformer(n_quantiles=50), False),
    "one-class svm": (OneClassSVM(), False),
    "local outliers": (LocalOutlierFactor(novelty=True), False),
    "k-means": (KMeans(3, n_init=1, random_state=0), False),
    "mixture": (GaussianMixture(2, random_state=0), False),
}
"""Detectors, clusters and transformers, fitted on breast cancer."""

FRAMES: Final[dict[str, tuple[Any, bool]]] = {
    "one-hot logistic": (_encoded(LogisticRegression()), True),
    "one-hot, drop first": (_encoded(LogisticRegression(), drop="first", handle_unknown="error"), True),
    "one-hot, rare values": (
        _encoded(LogisticRegression(), min_frequency=150, handle_unknown="infrequent_if_exist"),
        True,
    ),
    "one-hot forest": (_encoded(RandomForestClassifier(10, random_state=0)), True),
    "ordinal histogram boosting": (_ordinal(HistGradientBoostingClassifier(max_iter=10, random_state=0)), True),
    "one-hot svc": (_encoded(SVC()), False),
    "strings alone": (ColumnTransformer([("strings", OneHotEncoder(handle_unknown="ignore"), STRINGS)]), True),
    "one-hot layers": (_encoded(MLPClassifier([6], max_iter=60)), False),
}
"""Fitted on a DataFrame of strings and numbers."""


def _fit(estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Fit on two thirds of the rows; the rest is what the proof never sees."""
    held_out = np.arange(len(X)) % 3 == 0
    seen = X[~held_out]
    return estimator.fit(seen, y[~held_out]), X[held_out]


def _flowers(estimator: Any) -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return _fit(estimator, X, SPECIES[y])


def _numeric(estimator: Any) -> tuple[Any, Any]:
    return _fit(estimator, *load_diabetes(return_X_y=True))


def _unsupervised(estimator: Any) -> tuple[Any, Any]:
    return _fit(estimator, *load_breast_cancer(return_X_y=True))


def _frames(estimator: Any) -> tuple[Any, Any]:
    return _fit(estimator, *_customers())


def _boosting_of_categories() -> tuple[Any, Any]:
    table, y = _customers()
    table[STRINGS] = table[STRINGS].astype("category")
    return _fit(HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=5, random_state=0), table, y)


def _boosting_of_numbered_categories() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    X = np.column_stack([random.integers(0, 40, 900), random.normal(size=900)]).astype(float)
    X[random.random(900) < 0.1, 0] = np.nan
    y = np.where(np.isin(X[:, 0], [1, 5, 8, 13, 33]), 3.0, 0.0) + X[:, 1]
    return _fit(HistGradientBoostingRegressor(categorical_features=[0], max_iter=20, random_state=0), X, y)


def _boosting_with_gaps() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    return _fit(HistGradientBoostingRegressor(max_iter=20, random_state=0), X, y)


def _forest_with_gaps() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    return _fit(RandomForestRegressor(10, random_state=0), X, y)


def _two_targets(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = load_diabetes(return_X_y=True)
        return _fit(estimator, X, np.column_stack([y, -2 * y]))

    return make


def _two_labels(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = load_iris(return_X_y=True)
        return _fit(estimator, X, np.column_stack([y, y > 0]))

    return make


def _text() -> tuple[Any, Any]:
    words = np.random.default_rng(0).choice(["good", "bad", "great", "awful", "film", "plot"], (90, 6))
    X = np.array([" ".join(row) for row in words], dtype=object)
    return _fit(make_pipeline(TfidfVectorizer(), LogisticRegression()), X, (words == "good").any(axis=1))


def _whole_frame() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return _fit(make_pipeline(StandardScaler(), Ridge()), X, y.to_numpy())


SPECIAL: Final[dict[str, tuple[Callable[[], tuple[Any, Any]], bool]]] = {
    "histogram boosting of categories": (_boosting_of_categories, True),
    "histogram boosting of numbered categories": (_boosting_of_numbered_categories, True),
    "histogram boosting with gaps": (_boosting_with_gaps, True),
    "forest with gaps": (_forest_with_gaps, True),
    "forest of two targets": (_two_targets(RandomForestRegressor(10, random_state=0)), True),
    "ridge of two targets": (_two_targets(Ridge()), True),
    "boosting of two targets": (_two_targets(MultiOutputRegressor(GradientBoostingRegressor(n_estimators=5))), False),
    "forest of two labels": (_two_labels(RandomForestClassifier(10, random_state=0)), True),
    "logistic of two labels": (_two_labels(MultiOutputClassifier(LogisticRegression(max_iter=500))), False),
    "text": (_text, False),
    "numbers in a DataFrame": (_whole_frame, True),
}

ZOO: Final[dict[str, tuple[Callable[[], tuple[Any, Any]], bool]]] = {
    f"{family}: {name}": ((lambda make=make, estimator=estimator: make(estimator)), ours)
    for family, make, members in (
        ("flowers", _flowers, FLOWERS),
        ("numeric", _numeric, NUMERIC),
        ("unsupervised", _unsupervised, UNSUPERVISED),
        ("frames", _frames, FRAMES),
    )
    for name, (estimator, ours) in members.items()
} | {f"special: {name}": member for name, member in SPECIAL.items()}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ZOO)
def test_every_answer_is_scikit_learns_own(name: str) -> None:
    make, ours = ZOO[name]
    estimator, held_out = make()
    signature = infer_signature(estimator)
    sklearn = SklearnPredictor(estimator, signature)

    compilation = compile_predictor(estimator, sklearn, None)

    outputs = tuple(output.name for output in signature.outputs)
    rows = rows_of(held_out, signature)
    for batch in (rows, *(_slice(rows, at, at + 1) for at in range(12)), _slice(rows, 3, 40)):
        _assert_same(compilation.predictor, sklearn, batch, outputs)
        for output in outputs:
            _assert_same(compilation.predictor, sklearn, batch, (output,))
    report = compilation.report
    assert report.forms.keys() == set(outputs)
    if ours:
        assert {form for by_size in report.forms.values() for form in by_size.values()} & NATIVE, report
        assert report.rows_proven > 1000
    elif not report.compiled:
        assert compilation.predictor is sklearn
        assert report.reason


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(tuple(np.ascontiguousarray(block[start:stop]) for block in rows.blocks))


def _assert_same(predictor: Predictor, sklearn: Predictor, rows: Rows, outputs: tuple[str, ...]) -> None:
    try:
        expected = sklearn.predict(rows, outputs)
    except PredictionFailed:
        with pytest.raises(PredictionFailed):
            predictor.predict(rows, outputs)
        return
    answers = predictor.predict(rows, outputs)
    assert answers.keys() == expected.keys()
    for name in outputs:
        assert answers[name].dtype == expected[name].dtype
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(answers[name], expected[name], rtol=RTOL, atol=ATOL)
        else:
            np.testing.assert_array_equal(answers[name], expected[name])
