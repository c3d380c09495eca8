"""A zoo of fitted-to-be estimators, with what they are fitted on and the outputs they should be found to have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from model_manager.signature import Layout
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

ARRAY, TARGET = load_iris(return_X_y=True)
LABELS = np.array(["setosa", "versicolor", "virginica"], dtype=object)[TARGET]
NUMBERS, QUANTITY = load_diabetes(return_X_y=True)
TWO_LABELS = np.stack([LABELS, np.where(TARGET == 0, "small", "large").astype(object)], axis=1)
TEXTS = [
    "cheap pills now",
    "meeting at noon",
    "cheap watches",
    "lunch at noon",
    "pills pills",
    "notes of the meeting",
] * 4
SPAM = ["spam", "ham", "spam", "ham", "spam", "ham"] * 4


def customers() -> pd.DataFrame:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": random.normal(40, 10, 60).round(),
            "city": random.choice(["bern", "graz", "linz"], 60),
            "visits": random.integers(0, 5, 60),
            "plan": random.choice(["free", "paid"], 60),
            "member": random.random(60) < 0.5,
        }
    )
    table.loc[::7, "age"] = np.nan
    table.loc[::9, "city"] = np.nan
    return table


FRAME = customers()
CHURN = np.where(FRAME["visits"] > 2, "stays", "leaves").astype(object)


def encode_and_scale() -> ColumnTransformer:
    fill = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return ColumnTransformer(
        [
            ("filled", fill, ["city"]),
            ("plan", OrdinalEncoder(), ["plan"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "visits"]),
        ],
        remainder="passthrough",
    )


@dataclass(frozen=True)
class Specimen:
    """An estimator, what it is fitted on, and the outputs it should be found to have."""

    make: Callable[[], Any]
    X: Any
    y: Any
    outputs: str
    layout: Layout = Layout.ARRAY


P, PP, DF, SS, T = "predict", "predict_proba", "decision_function", "score_samples", "transform"
ZOO = {
    "logistic": Specimen(lambda: LogisticRegression(max_iter=500), ARRAY, LABELS, f"{P} {PP} {DF}"),
    "logistic-int": Specimen(lambda: LogisticRegression(max_iter=500), ARRAY, TARGET, f"{P} {PP} {DF}"),
    "logistic-bool": Specimen(lambda: LogisticRegression(max_iter=500), ARRAY, TARGET == 0, f"{P} {PP} {DF}"),
    "forest": Specimen(lambda: RandomForestClassifier(5, random_state=0, n_jobs=2), ARRAY, LABELS, f"{P} {PP}"),
    "tree-float32": Specimen(DecisionTreeClassifier, ARRAY.astype(np.float32), TARGET, f"{P} {PP}"),
    "svc": Specimen(SVC, ARRAY, LABELS, f"{P} {DF}"),
    "svc-one-against-one": Specimen(lambda: SVC(decision_function_shape="ovo"), ARRAY, LABELS, f"{P} {DF}"),
    "svc-calibrated": Specimen(lambda: CalibratedClassifierCV(SVC(), ensemble=False), ARRAY, LABELS, f"{P} {PP}"),
    "linear-svc": Specimen(LinearSVC, ARRAY, TARGET > 1, f"{P} {DF}"),
    "sgd-hinge": Specimen(lambda: SGDClassifier(random_state=0), ARRAY, LABELS, f"{P} {DF}"),
    "neighbours": Specimen(lambda: KNeighborsClassifier(n_jobs=2), ARRAY, LABELS, f"{P} {PP}"),
    "bayes": Specimen(GaussianNB, ARRAY, LABELS, f"{P} {PP}"),
    "network": Specimen(lambda: MLPClassifier((5,), max_iter=20, random_state=0), ARRAY, LABELS, f"{P} {PP}"),
    "discriminant": Specimen(LinearDiscriminantAnalysis, ARRAY, LABELS, f"{P} {PP} {DF} {T}"),
    "boosting": Specimen(lambda: HistGradientBoostingClassifier(max_iter=5), ARRAY, LABELS, f"{P} {PP} {DF}"),
    "calibrated": Specimen(lambda: CalibratedClassifierCV(GaussianNB(), cv=3), ARRAY, LABELS, f"{P} {PP}"),
    "voting-hard": Specimen(
        lambda: VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())]), ARRAY, LABELS, f"{P} {T}"
    ),
    "voting-soft": Specimen(
        lambda: VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], voting="soft"),
        ARRAY,
        LABELS,
        f"{P} {PP} {T}",
    ),
    "stacking": Specimen(
        lambda: StackingClassifier([("a", GaussianNB())], LogisticRegression(), cv=3),
        ARRAY,
        LABELS,
        f"{P} {PP} {DF} {T}",
    ),
    "bagging": Specimen(
        lambda: BaggingClassifier(DecisionTreeClassifier(), 3, max_features=2, random_state=0),
        ARRAY,
        LABELS,
        f"{P} {PP}",
    ),
    "elimination": Specimen(
        lambda: RFE(LogisticRegression(max_iter=500), n_features_to_select=2), ARRAY, LABELS, f"{P} {PP} {DF} {T}"
    ),
    "one-against-rest": Specimen(lambda: OneVsRestClassifier(SVC()), ARRAY, LABELS, f"{P} {DF}"),
    "several-labels": Specimen(lambda: MultiOutputClassifier(GaussianNB()), ARRAY, TWO_LABELS, f"{P} {PP}_0 {PP}_1"),
    "several-labels-forest": Specimen(
        lambda: RandomForestClassifier(5, random_state=0), ARRAY, TWO_LABELS, f"{P} {PP}_0 {PP}_1"
    ),
    "grid": Specimen(
        lambda: GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1, 2]}, cv=2, n_jobs=1),
        ARRAY,
        LABELS,
        f"{P} {DF}",
    ),
    "linear": Specimen(LinearRegression, NUMBERS, QUANTITY, P),
    "several-numbers": Specimen(Ridge, NUMBERS, np.stack([QUANTITY, QUANTITY / 2], axis=1), P),
    "several-numbers-apart": Specimen(
        lambda: MultiOutputRegressor(Ridge()), NUMBERS, np.stack([QUANTITY, -QUANTITY], axis=1), P
    ),
    "forest-regressor": Specimen(lambda: RandomForestRegressor(5, random_state=0), NUMBERS, QUANTITY, P),
    "boosting-regressor": Specimen(lambda: GradientBoostingRegressor(n_estimators=5), NUMBERS, QUANTITY, P),
    "process": Specimen(GaussianProcessRegressor, NUMBERS[:50], QUANTITY[:50], P),
    "log-target": Specimen(
        lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), NUMBERS, QUANTITY, P
    ),
    "isolation": Specimen(lambda: IsolationForest(n_estimators=10, random_state=0), ARRAY, None, f"{P} {DF} {SS}"),
    "one-class": Specimen(OneClassSVM, ARRAY, None, f"{P} {DF} {SS}"),
    "envelope": Specimen(lambda: EllipticEnvelope(random_state=0), ARRAY, None, f"{P} {DF} {SS}"),
    "novelty": Specimen(lambda: LocalOutlierFactor(novelty=True), ARRAY, None, f"{P} {DF} {SS}"),
    "means": Specimen(lambda: KMeans(3, n_init=1, random_state=0), ARRAY, None, f"{P} {T}"),
    "mixture": Specimen(lambda: GaussianMixture(2, random_state=0), ARRAY, None, f"{P} {PP} {SS}"),
    "components": Specimen(lambda: PCA(2), ARRAY, None, f"{T} {SS}"),
    "density": Specimen(KernelDensity, ARRAY, None, SS),
    "scaler": Specimen(StandardScaler, ARRAY, None, T),
    "scaler-frame-out": Specimen(
        lambda: StandardScaler().set_output(transform="pandas"), FRAME[["age", "visits"]], None, T, Layout.FRAME
    ),
    "sparse-encoder": Specimen(OneHotEncoder, FRAME[["city", "plan"]], None, T, Layout.FRAME),
    "frozen-text": Specimen(
        lambda: CalibratedClassifierCV(
            FrozenEstimator(make_pipeline(CountVectorizer(), LinearSVC()).fit(TEXTS, SPAM)), cv=2
        ),
        TEXTS,
        SPAM,
        f"{P} {PP}",
        Layout.TEXT,
    ),
    "object-array-encoder": Specimen(OneHotEncoder, FRAME[["city", "plan"]].to_numpy(dtype=object), None, T),
    "columns": Specimen(
        lambda: make_pipeline(encode_and_scale(), LogisticRegression()), FRAME, CHURN, f"{P} {PP} {DF}", Layout.FRAME
    ),
    "columns-grid": Specimen(
        lambda: GridSearchCV(
            make_pipeline(encode_and_scale(), LogisticRegression()), {"logisticregression__C": [1.0]}, cv=2
        ),
        FRAME,
        CHURN,
        f"{P} {PP} {DF}",
        Layout.FRAME,
    ),
    "columns-calibrated": Specimen(
        lambda: CalibratedClassifierCV(make_pipeline(encode_and_scale(), LinearSVC()), cv=2),
        FRAME,
        CHURN,
        f"{P} {PP}",
        Layout.FRAME,
    ),
    "columns-by-type": Specimen(
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("strings", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
                    ("numbers", SimpleImputer(), make_column_selector(dtype_include="number")),
                ]
            ),
            RandomForestRegressor(3, random_state=0),
        ),
        FRAME,
        FRAME["visits"],
        P,
        Layout.FRAME,
    ),
    "boosting-by-dtype": Specimen(
        lambda: HistGradientBoostingClassifier(max_iter=3),
        FRAME.astype({"city": "category", "plan": "category"}),
        CHURN,
        f"{P} {PP} {DF}",
        Layout.FRAME,
    ),
    "text": Specimen(
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXTS, SPAM, f"{P} {PP} {DF}", Layout.TEXT
    ),
    "text-union": Specimen(
        lambda: make_pipeline(FeatureUnion([("words", CountVectorizer()), ("pairs", CountVectorizer())]), LinearSVC()),
        TEXTS,
        SPAM,
        f"{P} {DF}",
        Layout.TEXT,
    ),
    "text-hashed": Specimen(
        lambda: make_pipeline(HashingVectorizer(n_features=16), TruncatedSVD(2)), TEXTS, None, T, Layout.TEXT
    ),
    "text-grid": Specimen(
        lambda: GridSearchCV(make_pipeline(CountVectorizer(), LinearSVC()), {"linearsvc__C": [1]}, cv=2),
        TEXTS,
        SPAM,
        f"{P} {DF}",
        Layout.TEXT,
    ),
    "text-column": Specimen(
        lambda: make_pipeline(
            ColumnTransformer([("words", TfidfVectorizer(), "text"), ("length", "passthrough", ["length"])]),
            LogisticRegression(),
        ),
        pd.DataFrame({"text": TEXTS, "length": [len(text) for text in TEXTS]}),
        SPAM,
        f"{P} {PP} {DF}",
        Layout.FRAME,
    ),
}
