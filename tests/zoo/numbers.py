"""Estimators of arrays of numbers; True where a form of our own must be found and proven."""

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
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
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
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
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

SPECIES: Final = np.array(["setosa", "versicolor", "virginica"])


def scaled(head: Any, *features: int) -> Pipeline:
    return make_pipeline(*(SelectKBest(k=k) for k in features), StandardScaler(), head)


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
        VotingClassifier([("a", scaled(SVC(), 2)), ("b", GaussianNB())], voting="hard", flatten_transform=False),
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
    "one svc against the rest": (OneVsRestClassifier(scaled(SVC())), True),
    "one forest against the rest": (OneVsRestClassifier(RandomForestClassifier(5, random_state=0)), True),
    "stack": (
        StackingClassifier([("a", scaled(SVC())), ("b", RandomForestClassifier(5, random_state=0))], cv=2),
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
    "vote": (VotingRegressor([("a", scaled(Ridge())), ("b", SVR())], weights=[1, 3]), True),
    "gaussian process": (make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=0.1)), False),
    "log target": (TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp), False),
    "stacking": (StackingRegressor([("a", Ridge()), ("b", scaled(LinearRegression()))], cv=2), True),
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


def fit(estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Fit on two thirds of the rows; the rest is what the proof never sees."""
    held_out = np.arange(len(X)) % 3 == 0
    seen = X[~held_out]
    return estimator.fit(seen, y[~held_out]), X[held_out]


def flowers(estimator: Any) -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return fit(estimator, X, SPECIES[y])


def numeric(estimator: Any) -> tuple[Any, Any]:
    return fit(estimator, *load_diabetes(return_X_y=True))


def unsupervised(estimator: Any) -> tuple[Any, Any]:
    return fit(estimator, *load_breast_cancer(return_X_y=True))


def _boosting_of_numbered_categories() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    X = np.column_stack([random.integers(0, 40, 900), random.normal(size=900)]).astype(float)
    X[random.random(900) < 0.1, 0] = np.nan
    y = np.where(np.isin(X[:, 0], [1, 5, 8, 13, 33]), 3.0, 0.0) + X[:, 1]
    return fit(HistGradientBoostingRegressor(categorical_features=[0], max_iter=20, random_state=0), X, y)


def _boosting_with_gaps() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    return fit(HistGradientBoostingRegressor(max_iter=20, random_state=0), X, y)


def _forest_with_gaps() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    return fit(RandomForestRegressor(10, random_state=0), X, y)


def _two_targets(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = load_diabetes(return_X_y=True)
        return fit(estimator, X, np.column_stack([y, -2 * y]))

    return make


def _two_labels(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = load_iris(return_X_y=True)
        return fit(estimator, X, np.column_stack([y, y > 0]))

    return make


def _calibrated_afterwards() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    fitted = scaled(GaussianNB()).fit(X, SPECIES[y])
    return fit(CalibratedClassifierCV(FrozenEstimator(fitted)), X, SPECIES[y])


def _probable_svc() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-learn's own, of a parameter that many models have
        return fit(SVC(probability=True, random_state=0), X, SPECIES[y])


def _one_column(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = load_iris(return_X_y=True)
        return fit(estimator, X[:, 2:3], SPECIES[y])

    return make


def _one_class(estimator: Any) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, _ = load_iris(return_X_y=True)
        return fit(estimator, X, np.full(len(X), "flower"))

    return make


def _whole_frame() -> tuple[Any, Any]:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return fit(make_pipeline(StandardScaler(), Ridge()), X, y.to_numpy())


SPECIAL: Final[dict[str, tuple[Callable[[], tuple[Any, Any]], bool]]] = {
    "histogram boosting of numbered categories": (_boosting_of_numbered_categories, True),
    "histogram boosting with gaps": (_boosting_with_gaps, True),
    "forest with gaps": (_forest_with_gaps, True),
    "forest of two targets": (_two_targets(RandomForestRegressor(10, random_state=0)), True),
    "ridge of two targets": (_two_targets(Ridge()), True),
    "boosting of two targets": (_two_targets(MultiOutputRegressor(GradientBoostingRegressor(n_estimators=5))), False),
    "forest of two labels": (_two_labels(RandomForestClassifier(10, random_state=0)), True),
    "logistic of two labels": (_two_labels(MultiOutputClassifier(LogisticRegression(max_iter=500))), False),
    "one column": (_one_column(SVC()), True),
    "one column of neighbours": (_one_column(KNeighborsClassifier(4)), True),
    "one column of layers": (_one_column(MLPClassifier([3], max_iter=30, random_state=0)), True),
    "one class": (_one_class(GaussianNB()), True),
    "one class of counts": (_one_class(ComplementNB()), True),
    "calibrated afterwards": (_calibrated_afterwards, True),
    "svc with probabilities": (_probable_svc, True),
    "numbers in a DataFrame": (_whole_frame, True),
}
"""Each with data of its own."""
