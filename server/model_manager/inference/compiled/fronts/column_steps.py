"""Fitted transformers of numbers → plain numpy, one step at a time, with scikit-learn's own operations in its order."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_array

from model_manager.inference.compiled.form import NotCovered, Origin, require_finite
from model_manager.signature import Array

Origins: TypeAlias = list[Origin | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One transformation of a matrix; `origins` says where its features come from, given where the last came from."""

    apply: Callable[[Array], Array]
    origins: Callable[[Origins], Origins]


def build_steps(transformer: Any) -> list[Step]:
    """Turn one fitted transformer of numbers into steps; none for one that changes nothing.

    Raises NotCovered for a transformer without an equivalent here.
    """
    if transformer is None or transformer == "passthrough":
        return []
    builder = _BUILDERS.get(type(transformer))
    if builder is not None:
        return builder(transformer)
    if isinstance(transformer, SelectorMixin):
        chosen = np.flatnonzero(transformer.get_support())
        return [Step(lambda X: X[:, chosen], lambda origins: [origins[at] for at in chosen])]
    raise NotCovered(f"{type(transformer).__name__} has no equivalent in numpy")


def _per_column(
    apply: Callable[[Array], Array], scale: Array | float, shift: Array | float, *, affine: bool = True
) -> Step:
    """A step x → y on each column alone, where x = y * scale + shift; for every number, if it is affine."""

    def origins(before: Origins) -> Origins:
        scales, shifts = np.broadcast_to(scale, len(before)).tolist(), np.broadcast_to(shift, len(before)).tolist()
        return [
            None if o is None else Origin(o.column, a * o.scale, b * o.scale + o.shift, o.affine and affine)
            for o, a, b in zip(before, scales, shifts, strict=True)
        ]

    return Step(apply, origins)


def _standard(scaler: StandardScaler) -> list[Step]:
    steps = []
    if scaler.with_mean:
        mean = scaler.mean_
        steps.append(_per_column(lambda X: X - mean, 1.0, mean))
    if scaler.with_std:
        scale = scaler.scale_
        steps.append(_per_column(lambda X: X / scale, scale, 0.0))
    return steps


def _robust(scaler: RobustScaler) -> list[Step]:
    steps = []
    if scaler.with_centering:
        center = scaler.center_
        steps.append(_per_column(lambda X: X - center, 1.0, center))
    if scaler.with_scaling:
        scale = scaler.scale_
        steps.append(_per_column(lambda X: X / scale, scale, 0.0))
    return steps


def _min_max(scaler: MinMaxScaler) -> list[Step]:
    scale, low = scaler.scale_, scaler.min_
    steps = [_per_column(lambda X: X * scale + low, 1 / scale, -low / scale)]
    if scaler.clip:
        least, most = scaler.feature_range
        steps.append(_per_column(lambda X: np.clip(X, least, most), 1.0, 0.0, affine=False))
    return steps


def _max_abs(scaler: MaxAbsScaler) -> list[Step]:
    if getattr(scaler, "clip", False):
        raise NotCovered("MaxAbsScaler(clip=True) has no equivalent in numpy")
    scale = scaler.scale_
    return [_per_column(lambda X: X / scale, scale, 0.0)]


def _imputer(imputer: SimpleImputer) -> list[Step]:
    fill = np.asarray(imputer.statistics_)
    if fill.dtype.kind != "f" or np.isnan(fill).any() or imputer.add_indicator or imputer.missing_values == 0:
        raise NotCovered("this SimpleImputer has no equivalent in numpy")
    if imputer.missing_values is None or not np.isnan(imputer.missing_values):
        raise NotCovered(f"SimpleImputer(missing_values={imputer.missing_values!r}) has no equivalent in numpy")

    def apply(X: Array) -> Array:
        missing = np.isnan(X)
        return np.where(missing, fill, X) if missing.any() else X

    return [_per_column(apply, 1.0, 0.0)]


def _function(transformer: FunctionTransformer) -> list[Step]:
    func = transformer.func
    if func is None or (isinstance(func, partial) and func.func is check_array):  # histogram boosting checks this way
        return []
    if not isinstance(func, np.ufunc) or transformer.kw_args or func.nin != 1:
        raise NotCovered("a FunctionTransformer of Python code has no equivalent in numpy")
    return [Step(func, lambda origins: [None] * len(origins))]


def _pca(pca: PCA) -> list[Step]:
    components = pca.components_
    offset = pca.mean_.reshape(1, -1) @ components.T
    scale = np.sqrt(pca.explained_variance_) if pca.whiten else None
    if scale is not None:
        scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps

    def apply(X: Array) -> Array:
        require_finite(X)
        answer: Array = X @ components.T
        answer -= offset
        if scale is not None:
            answer /= scale
        return answer

    return [Step(apply, lambda origins: [None] * len(components))]


def _svd(svd: TruncatedSVD) -> list[Step]:
    components = svd.components_

    def apply(X: Array) -> Array:
        require_finite(X)
        answer: Array = X @ components.T
        return answer

    return [Step(apply, lambda origins: [None] * len(components))]


def _polynomial(features: PolynomialFeatures) -> list[Step]:
    """Multiply columns factor by factor; a row of ones stands in where a product has fewer factors."""
    powers = features.powers_
    degree = int(powers.sum(axis=1).max(initial=1))
    ones = powers.shape[1]
    factors = np.full((degree, len(powers)), ones)
    for at, row in enumerate(powers):
        factors[: row.sum(), at] = np.repeat(np.arange(ones), row)

    def apply(X: Array) -> Array:
        require_finite(X)
        wide = np.empty((len(X), ones + 1))
        wide[:, :-1] = X
        wide[:, -1] = 1.0
        answer = wide[:, factors[0]]
        for more in factors[1:]:
            answer *= wide[:, more]
        return answer

    return [Step(apply, lambda origins: [None] * len(powers))]


_BUILDERS: dict[type, Callable[[Any], list[Step]]] = {
    StandardScaler: _standard,
    RobustScaler: _robust,
    MinMaxScaler: _min_max,
    MaxAbsScaler: _max_abs,
    SimpleImputer: _imputer,
    FunctionTransformer: _function,
    PCA: _pca,
    TruncatedSVD: _svd,
    PolynomialFeatures: _polynomial,
}
