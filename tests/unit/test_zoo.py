"""The zoo: whatever form an estimator is given, its answers are scikit-learn's own, on rows the proof never saw."""

import warnings
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
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.frozen import FrozenEstimator
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
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, NuSVR, OneClassSVM
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


def _targets(head: Any) -> Pipeline:
    columns = ColumnTransformer(
        [("strings", TargetEncoder(smooth=5.0), STRINGS), ("numbers", SimpleImputer(), NUMBERS)]
    )
    return make_pipeline(columns, head)


def _scaled(head: Any, *features: int) -> Pipeline:
    return make_pipeline(*(SelectKBest(k=k) for k in features), StandardScaler(), head)


def _ordinal(head: Any) -> Pipeline:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(ColumnTransformer([("strings", encoder, STRINGS)], remainder="passthrough"), head)


SPECIES: Final = np.array(["setosa", "versicolor", "virginica"])
NATIVE: Final = {"onnx-trees", "numpy", "ensemble"}

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
    "svc": (SVC(), True),
    "linear kernel svc": (make_pipeline(StandardScaler(), SVC(kernel="linear", class_weight="balanced")), True),
    "polynomial svc": (SVC(kernel="poly", coef0=1.0), True),
    "sigmoid svc": (make_pipeline(StandardScaler(), SVC(kernel="sigmoid")), True),
    "svc that breaks ties": (SVC(break_ties=True), True),
    "svc of pairs": (SVC(decision_function_shape="ovo"), True),
    "nu svc": (NuSVC(nu=0.3), True),
    "knn": (KNeighborsClassifier(), True),
    "knn by distance": (make_pipeline(StandardScaler(), KNeighborsClassifier(7, weights="distance")), True),
    "gaussian nb": (GaussianNB(), True),
    "multinomial nb": (MultinomialNB(), True),
    "complement nb": (ComplementNB(norm=True), True),
    "bernoulli nb": (BernoulliNB(binarize=3.0), True),
    "qda": (QuadraticDiscriminantAnalysis(), False),
    "mlp": (make_pipeline(StandardScaler(), MLPClassifier([8, 6], max_iter=60, random_state=0)), True),
    "adaboost": (AdaBoostClassifier(n_estimators=5, random_state=0), False),
    "bagging": (BaggingClassifier(n_estimators=5, random_state=0), False),
    "soft vote": (VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"), True),
    "soft vote, kept apart": (
        VotingClassifier([("a", _scaled(SVC(), 2)), ("b", GaussianNB())], voting="hard", flatten_transform=False),
        True,
    ),
    "hard vote by weight": (
        VotingClassifier(
            [("a", LogisticRegression()), ("b", SVC()), ("c", RandomForestClassifier(5, random_state=0))],
            weights=[1, 2, 1],
        ),
        True,
    ),
    "calibrated": (CalibratedClassifierCV(LinearSVC(), cv=2), True),
    "calibrated by steps": (
        CalibratedClassifierCV(RandomForestClassifier(5, random_state=0), method="isotonic", cv=3),
        True,
    ),
    "one against the rest": (OneVsRestClassifier(LogisticRegression()), True),
    "one svc against the rest": (OneVsRestClassifier(_scaled(SVC())), True),
    "one forest against the rest": (OneVsRestClassifier(RandomForestClassifier(5, random_state=0)), True),
    "stack": (
        StackingClassifier([("a", _scaled(SVC())), ("b", RandomForestClassifier(5, random_state=0))], cv=2),
        True,
    ),
    "stack that passes rows on": (
        StackingClassifier(
            [("a", GaussianNB())], final_estimator=RandomForestClassifier(5, random_state=0), cv=2, passthrough=True
        ),
        True,
    ),
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
    "svr": (SVR(C=100.0), True),
    "linear kernel svr": (make_pipeline(StandardScaler(), SVR(kernel="linear")), True),
    "nu svr": (make_pipeline(StandardScaler(), NuSVR()), True),
    "knn": (KNeighborsRegressor(), True),
    "knn by distance": (KNeighborsRegressor(weights="distance"), True),
    "knn by brute force": (KNeighborsRegressor(algorithm="brute"), True),
    "mlp": (make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=60, random_state=0)), True),
    "mlp, tanh": (MLPRegressor(hidden_layer_sizes=(4, 4), activation="tanh", max_iter=60, random_state=0), True),
    "vote": (VotingRegressor([("a", _scaled(Ridge())), ("b", SVR())], weights=[1, 3]), True),
    "gaussian process": (make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=0.1)), False),
    "log target": (TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp), False),
    "stacking": (StackingRegressor([("a", Ridge()), ("b", _scaled(LinearRegression()))], cv=2), True),
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
    "one-class svm": (make_pipeline(StandardScaler(), OneClassSVM()), True),
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
    "one-hot svc": (_encoded(SVC()), True),
    "one-hot naive bayes": (_encoded(BernoulliNB()), True),
    "one-hot neighbours": (_encoded(KNeighborsClassifier()), True),
    "one-hot vote": (
        _encoded(VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(5, random_state=0))])),
        True,
    ),
    "vote of pipelines": (
        VotingClassifier(
            [("a", _encoded(LogisticRegression())), ("b", _ordinal(RandomForestClassifier(5, random_state=0)))],
            voting="soft",
        ),
        True,
    ),
    "calibrated pipeline": (CalibratedClassifierCV(_encoded(SVC()), cv=2), True),
    "target encoder": (_targets(LogisticRegression()), True),
    "target encoder and neighbours": (_targets(KNeighborsClassifier(3)), True),
    "strings alone": (ColumnTransformer([("strings", OneHotEncoder(handle_unknown="ignore"), STRINGS)]), True),
    "one-hot layers": (_encoded(MLPClassifier([6], max_iter=60)), True),
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


def _reviews(*, classes: int = 2) -> tuple[Any, Any]:
    vocabulary = [
        "good",
        "Bad",
        "great",
        "the",
        "awful",
        "film",
        "plot",
        "für",
        "été",
        "don't",
        "x-ray",
        "3.14",
        "日本",
    ]
    words = np.random.default_rng(0).choice(vocabulary, (300, 7))
    X = np.array(["", *(", ".join(row) for row in words[1:])], dtype=object)
    return X, np.array(["no", "yes", "so", "maybe"])[(words[:, :3] < "f").sum(axis=1) % classes]


def _text(*steps: Any, classes: int = 2, number: bool = False) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = _reviews(classes=classes)
        return _fit(make_pipeline(*steps), X, np.char.str_len(y.astype(str)).astype(float) if number else y)

    return make


def _whole_text_calibrated() -> tuple[Any, Any]:
    X, y = _reviews(classes=3)
    return _fit(CalibratedClassifierCV(make_pipeline(TfidfVectorizer(), LinearSVC()), cv=2), X, y)


def _calibrated_afterwards() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    fitted = _scaled(GaussianNB()).fit(X, SPECIES[y])
    return _fit(CalibratedClassifierCV(FrozenEstimator(fitted)), X, SPECIES[y])


def _probable_svc() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-learn's own, of a parameter that many models have
        return _fit(SVC(probability=True, random_state=0), X, SPECIES[y])


def _text_beside_numbers(head: Any, width: int | None = None) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        texts, y = _reviews(classes=3)
        length = np.array([float(len(text)) for text in texts])
        X = pd.DataFrame({"length": length, "review": texts, "town": np.resize(["a", "b", "c"], len(texts))})
        columns = ColumnTransformer(
            [
                ("length", StandardScaler(), ["length"]),
                ("words", TfidfVectorizer(max_features=width), "review"),
                ("town", OneHotEncoder(handle_unknown="ignore"), ["town"]),
            ],
            sparse_threshold=0.0 if width else 1.0,
        )
        return _fit(make_pipeline(columns, head), X, y)

    return make


def _targets_of_several() -> tuple[Any, Any]:
    table, _ = _customers()
    return _fit(_targets(LogisticRegression(max_iter=900)), table, SPECIES[np.digitize(table["charges"], [50, 70])])


def _one_column(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = load_iris(return_X_y=True)
        return _fit(estimator, X[:, 2:3], SPECIES[y])

    return make


def _one_class(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, _ = load_iris(return_X_y=True)
        return _fit(estimator, X, np.full(len(X), "flower"))

    return make


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
    "text": (_text(TfidfVectorizer(), LogisticRegression()), True),
    "text, naive bayes": (_text(CountVectorizer(), TfidfTransformer(), MultinomialNB()), True),
    "text, several kinds": (_text(TfidfVectorizer(), ComplementNB(), classes=4), True),
    "text, word or not": (_text(CountVectorizer(binary=True), BernoulliNB()), True),
    "text, pairs of words": (
        _text(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LinearSVC(), classes=4),
        True,
    ),
    "text, letters": (
        _text(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), SGDClassifier(random_state=0)),
        True,
    ),
    "text, as it is written": (
        _text(
            TfidfVectorizer(lowercase=False, strip_accents="unicode", stop_words=["the"], norm="l1", use_idf=False),
            RidgeClassifier(),
        ),
        True,
    ),
    "text, chosen words": (_text(TfidfVectorizer(), SelectKBest(chi2, k=9), LogisticRegression(), classes=3), True),
    "text, projected": (
        _text(TfidfVectorizer(), TruncatedSVD(4, random_state=0), StandardScaler(), LogisticRegression()),
        True,
    ),
    "text, calibrated": (_text(TfidfVectorizer(), CalibratedClassifierCV(LinearSVC(), cv=2)), True),
    "text, calibrated whole": (_whole_text_calibrated, True),
    "text, one against the rest": (_text(TfidfVectorizer(), OneVsRestClassifier(LinearSVC()), classes=4), True),
    "text, linear kernel": (_text(TfidfVectorizer(), SVC(kernel="linear"), classes=3), True),
    "text, layers": (_text(TfidfVectorizer(), MLPClassifier([5], max_iter=30, random_state=0)), True),
    "text, words and letters": (
        _text(
            FeatureUnion([("a", TfidfVectorizer()), ("b", CountVectorizer(analyzer="char", ngram_range=(1, 2)))]),
            LogisticRegression(max_iter=900),
        ),
        True,
    ),
    "text beside numbers": (_text_beside_numbers(LogisticRegression(max_iter=500)), True),
    "text beside numbers, dense": (_text_beside_numbers(RandomForestClassifier(5, random_state=0), width=3), True),
    "target encoder of several classes": (_targets_of_several, True),
    "text, a number": (_text(TfidfVectorizer(), Ridge(), number=True), True),
    "one column": (_one_column(SVC()), True),
    "one column of neighbours": (_one_column(KNeighborsClassifier(4)), True),
    "one column of layers": (_one_column(MLPClassifier([3], max_iter=30, random_state=0)), True),
    "one class": (_one_class(GaussianNB()), True),
    "one class of counts": (_one_class(ComplementNB()), True),
    "calibrated afterwards": (_calibrated_afterwards, True),
    "svc with probabilities": (_probable_svc, True),
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
