"""An artifact and a sample → what a server would find out of them: a version is served once before it is published.

The artifact is loaded back, and the golden answers are those of the copy that came back.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.codecs.rows import rows_from_instances
from model_manager.drift import baseline_of
from model_manager.errors import LoadFailed, PackageRefused, PredictionFailed
from model_manager.inference.artifact_formats import load_artifact
from model_manager.inference.golden import check_golden
from model_manager.inference.methods import call, method_and_index
from model_manager.inference.onnx_model import declared_by
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.inference.signature.inputs import infer_inputs
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.packaging.disagreement import cause_of
from model_manager.packaging.public import frequent_categories
from model_manager.packaging.sample import Sample, declare, instances_of, null_for_missing, rows_of, with_categories
from model_manager.repository.metadata import Baseline, Golden
from model_manager.repository.packages import ARTIFACT_LIMIT, Format
from model_manager.signature import Array, Declared, Layout, Rows, Signature

GOLDEN_ROWS: Final = 3
MAX_COMPARED_ROWS: Final = 1000
MAX_BASELINE_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an estimator takes and gives, some answers, what its data look like; the first alone without a sample.

    `public_categories`: those that anybody may see, see public.py.
    """

    predictor: SklearnPredictor
    golden: Golden | None = None
    baseline: Baseline | None = None
    public_categories: dict[str, list[str | int | float | bool]] | None = None

    @property
    def signature(self) -> Signature:
        """What the estimator takes and gives."""
        return self.predictor.signature


def load_back(artifact: bytes, format: Format = "joblib", skops_trusted: Sequence[str] = ()) -> Any:
    """Read the estimator of an artifact as a server will. Raises LoadFailed."""
    file = io.BytesIO(artifact)
    loaded = load_artifact(
        file, format, library_mismatch="refuse", skops_trusted=skops_trusted, most_bytes=ARTIFACT_LIMIT.bytes
    )
    return loaded.estimator


def rehearse(estimator: Any, sample: Sample | None, columns: Sequence[str] | None) -> Rehearsal:
    """Do with an estimator that was loaded back what a server will do: find the signature, predict.

    Raises PackageRefused for a sample that does not fit; LoadFailed, PredictionFailed and InvalidInput as a server
    does.
    """
    own = declared_by(estimator)
    if sample is None:
        return Rehearsal(SklearnPredictor(estimator, _named(infer_signature(estimator, own), columns)))
    if not len(sample):
        raise PackageRefused("the sample has no rows")
    declared = (
        declare(sample, _layout(estimator, sample), columns) if own == Declared() else _with_names(own, sample, columns)
    )
    try:
        return _rehearse_declared(estimator, sample, declared)
    except (LoadFailed, PackageRefused, PredictionFailed):
        as_fitted = with_categories(sample, declared)
        if as_fitted is not None:
            # The first fault is told if this is none of its causes.
            with suppress(LoadFailed, PackageRefused, PredictionFailed):
                return _rehearse_declared(estimator, sample, as_fitted)
        raise


def _rehearse_declared(estimator: Any, sample: Sample, declared: Declared) -> Rehearsal:
    signature = infer_signature(estimator, declared, golden_rows=lambda draft: _spread(rows_of(sample, draft), 1))
    rows = rows_of(sample, signature)
    predictor = SklearnPredictor(estimator, signature)
    names = tuple(output.name for output in signature.outputs)
    golden_rows = _spread(rows, GOLDEN_ROWS)
    answers = predictor.predict(golden_rows, names)
    golden = Golden(
        instances=instances_of(golden_rows, signature),
        outputs={output: null_for_missing(values.tolist()) for output, values in answers.items()},
    )
    # As the server will read them: from JSON's values, not from the sample's arrays.
    check_golden(predictor, rows_from_instances(golden.instances, signature, source="golden"), golden.outputs)
    _check_as_given(estimator, sample, predictor, rows)
    seen = _spread(rows, MAX_BASELINE_ROWS)
    baseline = baseline_of(signature, seen, predictor.predict(seen, names))
    return Rehearsal(predictor, golden, baseline, frequent_categories(signature, rows))


def _layout(estimator: Any, sample: Sample) -> Layout:
    """The layout that the estimator tells; that of the sample where it says nothing of its columns."""
    draft, _ = infer_inputs(estimator, Declared())
    if draft.layout is Layout.ARRAY and draft.columns is None and isinstance(sample, pd.DataFrame):
        return Layout.FRAME
    return draft.layout


def _with_names(own: Declared, sample: Sample, columns: Sequence[str] | None) -> Declared:
    """What an artifact says it takes, with the names of the columns of its tensor, which it does not know."""
    names = columns or ([str(name) for name in sample.columns] if isinstance(sample, pd.DataFrame) else None)
    if own.tensor is None or not names:
        return own
    return replace(own, tensor=replace(own.tensor, width=len(names), columns=tuple(names)))


def _named(signature: Signature, columns: Sequence[str] | None) -> Signature:
    if not columns or signature.layout is not Layout.ARRAY or signature.columns is None:
        return signature
    if len(columns) != len(signature.columns):
        raise PackageRefused(f"{len(columns)} column names for {len(signature.columns)} columns")
    named = tuple(replace(column, name=name) for column, name in zip(signature.columns, columns, strict=True))
    return replace(signature, columns=named, named=True)


def _check_as_given(estimator: Any, sample: Sample, predictor: SklearnPredictor, rows: Rows) -> None:
    """Compare with the answers to the sample itself, whose dtypes and words for "missing" a server never sees."""
    if predictor.signature.layout is Layout.TEXT:
        return  # the very strings
    chosen = _evenly(len(rows), MAX_COMPARED_ROWS)
    given: Any = sample.iloc[chosen] if isinstance(sample, pd.DataFrame) else np.asarray(sample)[chosen]
    own = _own_answers(estimator, given, predictor.signature)
    served = predictor.predict(_at(rows, chosen), tuple(own))
    changed = {name: values for name, values in own.items() if not _identical(values, served[name])}
    try:
        check_golden(predictor, _at(rows, chosen), {name: values.tolist() for name, values in changed.items()})
    except LoadFailed as failure:
        why = cause_of(given, _at(rows, chosen), predictor.signature, partial(_own_answers, estimator), own)
        message = f"answers to the sample change when a server reads it: {why}{failure}"
        raise PackageRefused(message.replace("golden row", "row", 1)) from failure


def _own_answers(estimator: Any, X: Any, signature: Signature) -> dict[str, Array]:
    """What the estimator answers by output; without outputs for which X is acceptable only as a server gives it."""
    answers: dict[str, Array] = {}
    for output in signature.outputs:
        method, index = method_and_index(output.name)
        try:
            with warnings_dropped():
                answer = call(estimator, method, X)
        except Exception:
            continue
        part = answer[index] if isinstance(answer, list) and index is not None else answer
        if isinstance(part, np.ndarray):
            answers[output.name] = part
    return answers


def _identical(one: Array, other: Array) -> bool:
    """Whether nothing needs to be looked at closer."""
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _spread(rows: Rows, count: int) -> Rows:
    return _at(rows, _evenly(len(rows), count))


def _at(rows: Rows, chosen: Array) -> Rows:
    return Rows(tuple(block[chosen] for block in rows.blocks))


def _evenly(total: int, count: int) -> Array:
    """Choose up to `count` positions, evenly from the first to the last."""
    return np.unique(np.linspace(0, total - 1, num=min(count, total)).astype(int))
