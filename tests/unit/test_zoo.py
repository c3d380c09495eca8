"""The zoo: whatever form an estimator is given, its answers are scikit-learn's own, on rows the proof never saw."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.compiled.proof.verdict import ATOL, RTOL
from model_manager.inference.predictor import Predictor, SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from model_manager.signature import Rows

from tests.zoo import numbers, tables, texts

NATIVE: Final = {"onnx-trees", "numpy", "ensemble"}

ZOO: Final[dict[str, tuple[Callable[[], tuple[Any, Any]], bool]]] = {
    f"{family}: {name}": ((lambda make=make, estimator=estimator: make(estimator)), ours)
    for family, make, members in (
        ("flowers", numbers.flowers, numbers.FLOWERS),
        ("numeric", numbers.numeric, numbers.NUMERIC),
        ("unsupervised", numbers.unsupervised, numbers.UNSUPERVISED),
        ("frames", tables.frames, tables.FRAMES),
    )
    for name, (estimator, ours) in members.items()
} | {
    f"{family}: {name}": member
    for family, members in (("special", numbers.SPECIAL), ("special", tables.SPECIAL), ("text", texts.TEXTS))
    for name, member in members.items()
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ZOO)
def test_every_answer_is_scikit_learns_own(name: str) -> None:
    make, ours = ZOO[name]
    estimator, held_out = make()
    signature = infer_signature(estimator)
    sklearn = SklearnPredictor(estimator, signature)

    compilation = compile_predictor(estimator, sklearn, None, budget_s=50)  # however busy this machine is

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
