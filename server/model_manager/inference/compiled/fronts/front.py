"""The first part of a pipeline → a front: rows to the matrix that the last estimator is given.

A front never answers for infinities; NaN passes as far as the pipeline lets it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.pipeline import FeatureUnion, Pipeline

from model_manager.inference.compiled.form import Front, NotCovered, Origin, refuse_infinite, require_finite
from model_manager.inference.compiled.fronts.category_tables import CategoryTable
from model_manager.inference.compiled.fronts.column_steps import Origins, Step, build_steps
from model_manager.inference.compiled.fronts.text import TextFront
from model_manager.inference.compiled.sparse_rows import SparseRows, side_by_side
from model_manager.inference.signature.receivers import takes_text
from model_manager.signature import Array, Layout, Rows, Signature


@dataclass(frozen=True, slots=True)
class BuiltFront:
    """A front, and where each feature of its matrix comes from. `sparse`: the matrix is SparseRows."""

    run: Front
    origins: Origins
    sparse: bool = False


def build_front(transformers: Sequence[Any], signature: Signature) -> BuiltFront:
    """Build the front of fitted transformers, none included, for rows of this signature.

    Raises NotCovered for a transformer without an equivalent.
    """
    columns = signature.columns
    if columns is None:
        raise NotCovered("its rows are no columns of known width")
    if signature.layout is Layout.TEXT:
        return _text(
            [step for transformer in transformers for step in _flatten(transformer)], lambda rows: rows.blocks[0]
        )
    if signature.layout is Layout.ARRAY and signature.datatype not in ("FP64", "BYTES"):
        raise NotCovered(f"it computes in {signature.datatype}")
    flat = [step for transformer in transformers for step in _flatten(transformer)]
    everything = list(range(len(columns)))
    if flat and isinstance(flat[0], ColumnTransformer):
        first = _column_transformer(flat[0], signature)
        return _followed(first, flat[1:])
    return _chain(flat, everything, signature)


def _text(transformers: Sequence[Any], take: Callable[[Rows], Array]) -> BuiltFront:
    """Strings as a matrix of terms; a union of vectorizers stands side by side."""
    if not transformers:
        raise NotCovered("its rows are strings, and nothing before it makes numbers of them")
    first, *others = transformers
    if not isinstance(first, FeatureUnion):
        text = TextFront(transformers, take)
        return _followed(BuiltFront(text, [None] * text.width, sparse=True), text.rest)
    if first.transformer_weights:
        raise NotCovered("a FeatureUnion with weights has no equivalent here")
    return _followed(_beside([_text(_flatten(part), take) for _, part in first.transformer_list], sparse=True), others)


def _beside(fronts: Sequence[BuiltFront], *, sparse: bool) -> BuiltFront:
    """Fronts side by side, some of which make sparse rows; `sparse`: so does the whole."""
    runs = [(front.run, front.sparse) for front in fronts]

    def joined(rows: Rows) -> SparseRows:
        parts = [run(rows) for run, _ in runs]
        for part, (_, is_sparse) in zip(parts, runs, strict=True):
            if not is_sparse:
                require_finite(part)
        return side_by_side(parts)

    def dense(rows: Rows) -> Array:
        return np.concatenate([run(rows).toarray() if is_sparse else run(rows) for run, is_sparse in runs], axis=1)

    origins = [origin for front in fronts for origin in front.origins]
    return BuiltFront(joined, origins, sparse=True) if sparse else BuiltFront(dense, origins)


def _projected(front: BuiltFront, transformers: Sequence[Any]) -> BuiltFront:
    """Sparse rows become dense once a projection follows, and numeric transformers with it."""
    first, *others = transformers
    if type(first) is not TruncatedSVD:
        raise NotCovered(f"{type(first).__name__} behind text has no equivalent here")
    components = np.ascontiguousarray(first.components_.T)
    sparse = front.run

    def project(rows: Rows) -> Array:
        projection: Array = sparse(rows) @ components
        return projection

    return _followed(BuiltFront(project, [None] * components.shape[1]), others)


def _flatten(transformer: Any) -> list[Any]:
    if isinstance(transformer, Pipeline):
        return [part for _, step in transformer.steps for part in _flatten(step)]
    return [] if transformer is None or transformer == "passthrough" else [transformer]


def _followed(front: BuiltFront, transformers: Sequence[Any]) -> BuiltFront:
    """A front with numeric transformers behind it."""
    if front.sparse and transformers:
        return _projected(front, transformers)
    steps = [step for transformer in transformers for step in build_steps(transformer)]
    if not steps:
        return front
    first, apply = front.run, [step.apply for step in steps]

    def run(rows: Rows) -> Array:
        X: Array = first(rows)
        for one in apply:
            X = one(X)
        return X

    return BuiltFront(run, _trace(front.origins, steps))


def _trace(origins: Origins, steps: Sequence[Step]) -> Origins:
    for step in steps:
        origins = step.origins(origins)
    return origins


def _chain(transformers: Sequence[Any], chosen: list[int], signature: Signature) -> BuiltFront:
    """A chain over some of the columns: tables as far as the encoder of categories, numeric steps after it."""
    encoders = [at for at, part in enumerate(transformers) if hasattr(part, "categories_")]
    if not encoders:
        return _followed(_numbers(chosen, signature), transformers)
    assert signature.columns is not None, "a front is built for known columns"
    framed = signature.layout is Layout.FRAME
    names = [signature.columns[at].name for at in chosen] if framed else None
    end = encoders[0] + 1
    table = CategoryTable(transformers[:end], names)
    take = _taker(chosen, signature)
    front = BuiltFront(lambda rows: table(take(rows)), [None] * table.width)
    return _followed(front, transformers[end:])


def _taker(chosen: list[int], signature: Signature) -> Callable[[Rows], list[Array]]:
    if signature.layout is Layout.FRAME:
        return lambda rows: [rows.blocks[at] for at in chosen]
    return lambda rows: [rows.blocks[0][:, at] for at in chosen]


def _one_taker(at: int, signature: Signature) -> Callable[[Rows], Array]:
    if signature.layout is Layout.FRAME:
        return lambda rows: rows.blocks[at]
    return lambda rows: rows.blocks[0][:, at]


def _numbers(chosen: list[int], signature: Signature) -> BuiltFront:
    """Columns of numbers as one matrix."""
    assert signature.columns is not None, "a front is built for known columns"
    origins: Origins = [Origin(at) for at in chosen]
    if signature.layout is Layout.FRAME:
        if any(signature.columns[at].datatype == "BYTES" for at in chosen):
            raise NotCovered("it makes numbers of strings without a known encoder")

        def stack(rows: Rows) -> Array:
            blocks = rows.blocks
            X = np.array([blocks[at] for at in chosen], dtype=np.float64).T
            refuse_infinite(X)
            return X

        return BuiltFront(stack, origins)

    every = chosen == list(range(len(signature.columns)))
    objects = signature.dtype.hasobject

    def pick(rows: Rows) -> Array:
        X = rows.blocks[0] if every else rows.blocks[0][:, chosen]
        if objects:
            X = X.astype(np.float64)
        refuse_infinite(X)
        return X

    return BuiltFront(pick, origins)


def _column_transformer(transformer: ColumnTransformer, signature: Signature) -> BuiltFront:
    positions = transformer._transformer_to_input_indices
    fronts: list[BuiltFront] = []
    for name, part, columns in transformer.transformers_:
        chosen = list(positions.get(name, []))
        if (isinstance(part, str) and part == "drop") or not chosen:
            continue
        if isinstance(columns, str | int) and takes_text(part):
            fronts.append(_text(_flatten(part), _one_taker(chosen[0], signature)))
            continue
        if isinstance(part, ColumnTransformer | FeatureUnion):
            raise NotCovered(f"a {type(part).__name__} inside a ColumnTransformer has no equivalent in numpy")
        fronts.append(_chain(_flatten(part), chosen, signature))
    if not fronts:
        raise NotCovered("its ColumnTransformer keeps no column")
    if any(front.sparse for front in fronts):
        return _beside(fronts, sparse=transformer.sparse_output_)
    if len(fronts) == 1:
        return fronts[0]
    runs = [front.run for front in fronts]

    def run(rows: Rows) -> Array:
        return np.concatenate([one(rows) for one in runs], axis=1)

    return BuiltFront(run, [origin for front in fronts for origin in front.origins])
