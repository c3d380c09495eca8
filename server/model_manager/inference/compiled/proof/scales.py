"""Where the numbers of each input column usually lie, and which categories it knows, as far as fitted parts tell."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from model_manager.inference.compiled.form import Split
from model_manager.inference.signature.receivers import receivers
from model_manager.signature import Array, Signature

_CENTRES: Final = (("mean_", "scale_"), ("center_", "scale_"))
MAX_TERMS: Final = 2000
"""Terms of a vocabulary that made-up texts are written in."""
_SAMPLES: Final = ("_fit_X", "support_vectors_", "cluster_centers_", "theta_", "means_", "X_train_", "centroids_")


@dataclass(slots=True)
class Scales:
    """Centre and spread of every column, the known values of those that hold categories, the terms of those of text."""

    centre: Array
    spread: Array
    known: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    terms: dict[int, tuple[str, ...]] = field(default_factory=dict)


def find_scales(estimator: Any, signature: Signature, splits: tuple[Split, ...]) -> Scales:
    """Ask the parts that see the client's columns; where nothing tells, splits do, else numbers lie around 0."""
    assert signature.columns is not None, "scales are those of known columns"
    width = len(signature.columns)
    scales = Scales(np.zeros(width), np.ones(width))
    _from_splits(scales, splits)
    _visit(estimator, list(range(width)), scales)
    bad = ~(np.isfinite(scales.centre) & np.isfinite(scales.spread) & (scales.spread > 0))
    scales.centre[bad], scales.spread[bad] = 0.0, 1.0
    return scales


def _from_splits(scales: Scales, splits: tuple[Split, ...]) -> None:
    values: dict[int, list[float]] = {}
    for split in splits:
        values.setdefault(split.column, []).append(split.value)
    for column, found in values.items():
        scales.centre[column] = np.mean(found)
        scales.spread[column] = np.std(found) or abs(np.mean(found)) or 1.0


def _visit(estimator: Any, positions: list[int], scales: Scales) -> None:
    for receiver in receivers(estimator):
        if isinstance(receiver, ColumnTransformer):
            for name, part, _ in receiver.transformers_:
                inside = [positions[at] for at in receiver._transformer_to_input_indices.get(name, [])]
                if not isinstance(part, str):
                    _visit(part, inside, scales)
        elif isinstance(receiver, Pipeline):
            # Every step may tell of the same columns while their number stays; the first that tells has the last word.
            for _, step in reversed(receiver.steps):
                if not isinstance(step, Pipeline) and getattr(step, "n_features_in_", None) == len(positions):
                    _read(step, positions, scales)
        elif not isinstance(receiver, FeatureUnion):
            if isinstance(inner := getattr(receiver, "_preprocessor", None), ColumnTransformer):
                _visit(inner, positions, scales)
            _read(receiver, positions, scales)


def _read(part: Any, positions: list[int], scales: Scales) -> None:
    width = len(positions)
    if width == 1 and isinstance(vocabulary := getattr(part, "vocabulary_", None), dict):
        terms = [term for term in vocabulary if isinstance(term, str)]
        chosen = np.linspace(0, len(terms) - 1, min(len(terms), MAX_TERMS)).astype(np.intp)
        scales.terms[positions[0]] = tuple(terms[at] for at in chosen)
        return
    categories = getattr(part, "categories_", None)
    if isinstance(categories, list) and len(categories) == width:
        for at, values in zip(positions, categories, strict=True):
            scales.known[at] = tuple(v for v in np.asarray(values).tolist() if v is not None and v == v)
        return
    found = _centre_and_spread(part, width)
    if found is not None:
        scales.centre[positions], scales.spread[positions] = found


def _centre_and_spread(part: Any, width: int) -> tuple[Array, Array] | None:
    for centre_name, spread_name in _CENTRES:
        centre, spread = getattr(part, centre_name, None), getattr(part, spread_name, None)
        if _fits(centre, width):
            return np.asarray(centre), np.asarray(spread) if _fits(spread, width) else np.ones(width)
    low, high = getattr(part, "data_min_", None), getattr(part, "data_max_", None)
    if _fits(low, width) and _fits(high, width):
        return (np.asarray(low) + np.asarray(high)) / 2, (np.asarray(high) - np.asarray(low)) / 4
    statistics = getattr(part, "statistics_", None)
    if _fits(statistics, width):
        centre = np.asarray(statistics, dtype=np.float64)
        return centre, np.where(centre == 0, 1.0, np.abs(centre) / 2)
    for name in _SAMPLES:
        sample = getattr(part, name, None)
        if isinstance(sample, np.ndarray) and sample.ndim == 2 and sample.shape[1] == width and len(sample):
            return sample.mean(axis=0), sample.std(axis=0)
    return None


def _fits(values: Any, width: int) -> bool:
    return isinstance(values, np.ndarray) and values.shape == (width,) and values.dtype.kind in "fiu"
