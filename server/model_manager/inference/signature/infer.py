"""What an estimator takes and gives, found out at load: from what it says, what metadata declares, and trying."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from model_manager.inference.features import example_row, feature_builder
from model_manager.inference.methods import call, method_and_index
from model_manager.inference.signature.inputs import infer_inputs
from model_manager.inference.signature.nullability import find_nullable
from model_manager.inference.signature.outputs import choose_outputs, guess_outputs, try_outputs
from model_manager.inference.signature.plausible import refuse_unpredictable
from model_manager.signature import Declared, Rows, Signature

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
    rows, or where none can be predicted; and whatever `golden_rows` raises.
    """
    draft, undecided = infer_inputs(estimator, declared)
    draft = replace(draft, outputs=choose_outputs(guess_outputs(estimator), None))
    rows = golden_rows(draft) if golden_rows is not None else None
    example = rows if rows is not None else example_row(draft)
    if rows is None and declared.columns is None and declared.tensor is None:
        refuse_unpredictable(estimator, draft, example)
    if example is None:
        return replace(draft, outputs=choose_outputs(draft.outputs, declared.outputs))
    first = Rows(tuple(block[:1] for block in example.blocks))
    build = feature_builder(draft)
    found = try_outputs(estimator, build, first, example_is_real=rows is not None)
    signature = replace(draft, outputs=choose_outputs(found, declared.outputs))
    if signature.columns is None:
        return signature

    method, _ = method_and_index(signature.default_output)
    nullable = find_nullable(lambda one: call(estimator, method, build(one)), first, signature, undecided)
    columns = list(signature.columns)
    for at in undecided:
        columns[at] = replace(columns[at], nullable=at in nullable)
    return replace(signature, columns=tuple(columns))
