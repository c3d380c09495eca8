"""Forms of other libraries' estimators: their answers are the library's own, on rows the proof never saw."""

from typing import Any

import numpy as np
import pytest
from model_manager.inference.compiled.compilation import Compilation, compile_predictor
from model_manager.inference.compiled.proof.verdict import ATOL, RTOL
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from model_manager.signature import Array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tools import parts

pytestmark = [
    pytest.mark.ecosystem,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
]


def _with_gaps(X: Array, share: float) -> Array:
    X = X.copy()
    X[np.random.default_rng(0).random(X.shape) < share] = np.nan
    return X


def _held(estimator: Any, X: Any, y: Any) -> Compilation:
    """Fit on two thirds of the rows, compile, and hold all outputs of the rest to the library's answers."""
    unseen = np.arange(len(X)) % 3 == 0
    estimator.fit(X[~unseen], y[~unseen])
    signature = infer_signature(estimator)
    sklearn = SklearnPredictor(estimator, signature)
    compilation = compile_predictor(estimator, sklearn, None, budget_s=50)  # however busy this machine is
    outputs = tuple(output.name for output in signature.outputs)
    rows = rows_of(X[unseen], signature)
    answers, expected = compilation.predictor.predict(rows, outputs), sklearn.predict(rows, outputs)
    for output in outputs:
        if expected[output].dtype.kind == "f":
            np.testing.assert_allclose(answers[output], expected[output], rtol=RTOL, atol=ATOL)
        else:
            assert answers[output].tolist() == expected[output].tolist()
    return compilation


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("boosting", ["gbdt", "dart"])
def test_classifiers_of_lightgbm(gaps: float, boosting: str) -> None:
    lightgbm = parts.module("lightgbm")
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    several = lightgbm.LGBMClassifier(n_estimators=12, min_child_samples=5, boosting_type=boosting, verbose=-1)
    assert _held(several, _with_gaps(X, gaps), names[y]).predictor.form == "onnx-trees"
    two = lightgbm.LGBMClassifier(n_estimators=40, boosting_type=boosting, verbose=-1)
    X, y = load_breast_cancer(return_X_y=True)
    compilation = _held(two, _with_gaps(X, gaps), y)
    assert compilation.predictor.form == "onnx-trees"
    assert compilation.report.speedup[1] > 1.5


@pytest.mark.parametrize("objective", ["regression", "regression_l1", "huber", "quantile", "poisson", "tweedie"])
def test_regressors_of_lightgbm(objective: str) -> None:
    lightgbm = parts.module("lightgbm")
    X, y = load_diabetes(return_X_y=True)
    compilation = _held(lightgbm.LGBMRegressor(n_estimators=30, objective=objective, verbose=-1), X, y)
    assert compilation.predictor.form == "onnx-trees"


def test_what_lightgbm_does_otherwise_has_no_form_and_says_why() -> None:
    lightgbm = parts.module("lightgbm")
    X, y = load_diabetes(return_X_y=True)
    X[:, 1] = X[:, 1] > 0
    for settings, why in (
        ({"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, "averaged"),
        ({"linear_tree": True}, "linear"),
        ({"zero_as_missing": True}, "zeros"),
        ({"reg_sqrt": True}, "regression"),
    ):
        compilation = _held(lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, **settings), X, y)
        assert not compilation.report.compiled
        assert any(why in rejection.reason for rejection in compilation.report.rejected), settings


def test_lightgbm_is_a_part_like_any_other() -> None:
    lightgbm = parts.module("lightgbm")
    X, y = load_iris(return_X_y=True)
    boosted = lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=5, verbose=-1)
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    vote = VotingClassifier([("boosted", boosted), ("linear", linear)], voting="soft")
    assert _held(vote, X, y).predictor.form == "ensemble"
    assert _held(CalibratedClassifierCV(boosted, cv=2), X, y).predictor.form == "ensemble"
    assert _held(make_pipeline(StandardScaler(), boosted), X, y).predictor.form == "onnx-trees"
