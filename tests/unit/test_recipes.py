"""What compiling found, carried as plain values to where the same artifact is loaded, builds the same predictor."""

import io
from typing import Any

import msgspec
import numpy as np
import pytest
from model_manager.inference.compiled.compilation import Recipe, build_proven, compile_predictor
from model_manager.inference.cost import InlineLimits, Measured, measure_inline_limits
from model_manager.inference.estimator_files import load_estimator
from model_manager.inference.features import example_row
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Rows
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tests.models import constant, dump

X, Y = make_classification(200, 6, random_state=0)


def loaded(artifact: bytes) -> tuple[Any, SklearnPredictor]:
    estimator = load_estimator(io.BytesIO(artifact), library_mismatch="refuse").estimator
    return estimator, SklearnPredictor(estimator, infer_signature(estimator))


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(10, random_state=0),
        VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())], voting="soft"),
        make_pipeline(StandardScaler(), SVC()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_forms_that_won_elsewhere_are_built_without_another_proof(estimator: Any) -> None:
    artifact = dump(estimator.fit(X, Y))
    there, predictor = loaded(artifact)
    found = compile_predictor(there, predictor, example_row(predictor.signature))
    assert found.report.compiled
    carried = msgspec.msgpack.decode(msgspec.msgpack.encode(found.recipe), type=Recipe)
    here, own = loaded(artifact)
    built = build_proven(here, own, carried)
    assert built.report == found.report
    rows, outputs = Rows((X,)), tuple(output.name for output in own.signature.outputs)
    for count in (1, 20, 200):
        assert [built.predictor.form_of(name, count) for name in outputs] == [  # type: ignore[attr-defined]
            found.predictor.form_of(name, count)  # type: ignore[attr-defined]
            for name in outputs
        ]
    ours, theirs = built.predictor.predict(rows, outputs), found.predictor.predict(rows, outputs)
    for name in outputs:
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_that_there_is_no_form_is_carried_too() -> None:
    artifact = dump(constant(1.0))
    there, predictor = loaded(artifact)
    found = compile_predictor(there, predictor, example_row(predictor.signature))
    carried = msgspec.msgpack.decode(msgspec.msgpack.encode(found.recipe), type=Recipe)
    here, own = loaded(artifact)
    built = build_proven(here, own, carried)
    assert built.predictor is own
    assert built.report == found.report
    assert built.report.reason


def test_limits_of_the_loop_are_carried() -> None:
    _, predictor = loaded(dump(LogisticRegression().fit(X, Y)))
    limits = measure_inline_limits(predictor, example_row(predictor.signature))
    carried = msgspec.msgpack.decode(msgspec.msgpack.encode(limits.measured), type=Measured)
    assert InlineLimits.of(carried).limit(("predict",)) == limits.limit(("predict",))
    assert InlineLimits.of(carried).measured == limits.measured
