"""What an estimator takes and gives, found out at load: from what it says, what metadata declares, and trying."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from model_manager.inference.features import example_row, feature_builder
from model_manager.inference.methods import call, method_and_index
from model_manager.inference.signature.inputs import infer_inputs
from model_manager.inference.signature.nullability import find_nullable
from model_manager.inference.signature.output_names import name_columns
from model_manager.inference.signature.outputs import choose_outputs, guess_outputs, try_on_request, try_outputs
from model_manager.inference.signature.plausible import refuse_unpredictable
from model_manager.inference.signature.presentations import find_presentation
from model_manager.inference.signature.receivers import kinds_of_receivers
from model_manager.signature import Column, Declared, Rows, Signature

_SILENT = Declared()


def infer_signature(
    estimator: Any,
    declared: Declared = _SILENT,
    *,
    golden_rows: Callable[[Signature], Rows] | None = None,
) -> Signature:
    """Describe a fitted estimator.

    `golden_rows` decodes the author's rows under a draft signature that lets missing values through wherever they must
    be tried out; the first of them is what methods are tried on, else a row of zeros, known categories and empty
    strings.

    Raises LoadFailed: "metadata_invalid" where metadata contradicts the estimator, "not_a_model" for rows that are no
    rows, that only a DataFrame of unknown columns can hold, or where none can be predicted; and whatever `golden_rows`
    raises.
    """
    draft, undecided = infer_inputs(estimator, declared)
    draft = replace(draft, outputs=guess_outputs(estimator))
    draft = find_presentation(estimator, draft, declared, golden_rows or example_row)
    rows = golden_rows(draft) if golden_rows is not None else None
    example = rows if rows is not None else example_row(draft)
    if rows is None and declared.columns is None and declared.tensor is None:
        refuse_unpredictable(estimator, draft, example)
    if example is None:
        return choose_outputs(draft, declared)
    first = Rows(tuple(block[:1] for block in example.blocks))
    build = feature_builder(draft)
    found = try_outputs(estimator, build, first, example_is_real=rows is not None)
    on_request = try_on_request(estimator, build(first))
    signature = choose_outputs(replace(draft, outputs=found, on_request=on_request), declared)
    signature = name_columns(estimator, signature)
    if signature.columns is None:
        return signature

    method, _ = method_and_index(signature.default_output)
    alike = kinds_of_receivers(estimator, len(signature.columns))
    return _with_nullable(signature, undecided, first, lambda one: call(estimator, method, build(one)), alike)


def _with_nullable(
    signature: Signature,
    undecided: Sequence[int],
    first: Rows,
    accepts: Callable[[Rows], object],
    alike: Sequence[object],
) -> Signature:
    """Decide which columns take a missing value; strings of which nothing tells are tried with NaN, then with None."""
    columns = list(signature.columns or ())
    nullable = find_nullable(accepts, first, signature, undecided, alike=alike)
    for at in undecided:
        columns[at] = replace(columns[at], nullable=at in nullable)
    untold = [at for at in undecided if at not in nullable and _is_untold(columns[at])]
    with_none = list(columns)
    for at in untold:
        with_none[at] = replace(columns[at], missing="None", nullable=True)
    for at in find_nullable(accepts, first, replace(signature, columns=tuple(with_none)), untold, alike=alike):
        columns[at] = with_none[at]
    return replace(signature, columns=tuple(columns))


def _is_untold(column: Column) -> bool:
    return column.datatype == "BYTES" and column.moments is None and not column.categories
