"""What estimators of other libraries tell of their input columns, each in its own words.

Place in the flow: `inputs` and `column_types` ask here, part by part, and `estimator_files` whether a part can be
served at all. No library is imported: what was unpickled has imported its own.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from model_manager.signature import Datatype, datatype_of

Scalar = str | int | float | bool

OTHERS: Final = frozenset({"xgboost", "lightgbm", "catboost", "category_encoders", "feature_engine", "skrub"})
"""Libraries whose ways are known here."""
NEEDS_DMATRIX: Final = (
    "a raw Booster of XGBoost takes DMatrix only; save the scikit-learn wrapper, such as XGBClassifier or XGBRegressor"
)
_NUMERIC: Final = frozenset({"sklearn", "imblearn", "xgboost", "lightgbm", "catboost"})
"""Libraries whose parts take numbers wherever they do not say that they take something else."""


@dataclass(frozen=True, slots=True)
class Told:
    """One column, as its library tells: `categorical` if it must come as a pandas category of exactly `categories`."""

    datatype: Datatype
    categories: tuple[Scalar, ...] = ()
    categorical: bool = False


def library_of(part: Any) -> str:
    """Name the top-level package that a part's class is from."""
    return type(part).__module__.partition(".")[0]


def takes_numbers(part: Any) -> bool:
    """Whether a part takes numbers wherever it does not say otherwise; of a class that nobody knows, nobody can say."""
    return library_of(part) in _NUMERIC


def fitted_names(part: Any) -> tuple[str, ...] | None:
    """Give the names of the columns that a part was fitted with; None if it was fitted without, or does not say."""
    names = _ask(part, "feature_names_in_")
    if names is None and library_of(part) == "catboost":
        names = _ask(part, "feature_names_")
        numbered = "{}"
    elif names is None and library_of(part) == "lightgbm" and not hasattr(part, "fit"):
        names = part.feature_name()
        numbered = "Column_{}"
    else:
        numbered = None
    if numbered is not None and names == [numbered.format(at) for at in range(len(names or ()))]:
        return None  # they are the library's own, of an array's columns
    return None if names is None or not len(names) else tuple(str(name) for name in names)


def fitted_width(part: Any) -> int | None:
    """Give the number of columns that a part was fitted with; CatBoost's own count is 0 once it was unpickled."""
    width = _ask(part, "n_features_in_")
    if not width and library_of(part) == "catboost":
        width = len(_ask(part, "feature_names_") or ())
    if width is None and library_of(part) == "lightgbm" and not hasattr(part, "fit"):
        width = part.num_feature()
    return int(width) if width else None


def is_raw_booster(part: Any) -> bool:
    """Whether this is XGBoost's own Booster, which takes no arrays; LightGBM's takes them."""
    return library_of(part) == "xgboost" and not hasattr(part, "fit")


def hold_booster_to_one_thread(part: Any) -> None:
    """Tell a fitted booster of XGBoost, which does not look at its wrapper's n_jobs any more; LightGBM's does."""
    if library_of(part) == "xgboost" and hasattr(part, "get_booster") and part.__sklearn_is_fitted__():
        part.get_booster().set_param({"nthread": 1})


def renames(part: Any) -> bool:
    """Whether a library changes the names it was given: LightGBM puts an underscore wherever there was a space."""
    return library_of(part) == "lightgbm"


def told_columns(part: Any, width: int) -> dict[int, Told]:
    """Give what a part tells of its `width` columns, by position."""
    ask = {
        "xgboost": _xgboost,
        "lightgbm": _lightgbm,
        "catboost": _catboost,
        "category_encoders": _category_encoders,
        "feature_engine": _feature_engine,
        "skrub": _skrub,
    }.get(library_of(part))
    if ask is None:
        return {}
    try:
        return {at: told for at, told in ask(part).items() if 0 <= at < width}
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, msgspec.DecodeError):
        return {}  # another release keeps it elsewhere; a sample or metadata can still tell


def _xgboost(part: Any) -> dict[int, Told]:
    """The booster keeps the categories in the order of their codes, unless some letter of theirs is not ASCII.

    It counts letters and stores bytes, so that those come out cut: then nothing is told. Releases before 3.1 keep none.
    """
    booster = part.get_booster()
    if "c" not in (booster.feature_types or ()):
        return {}
    kept = msgspec.json.decode(bytes(booster.save_raw("json")), type=_Model).learner.gradient_booster
    told = {at: column.categories() for at, column in enumerate((kept.gbtree or kept).model.cats.enc)}
    return {at: _category(categories) for at, categories in told.items() if categories is not None}


class _Column(msgspec.Struct):
    """The categories of one column: whole numbers, or the bytes of one string after another, and where each ends."""

    values: list[int | float] = []
    offsets: list[int] | None = None

    def categories(self) -> tuple[Scalar, ...] | None:
        if self.offsets is None:
            return tuple(self.values) or None
        text = bytes(value & 0xFF for value in self.values if isinstance(value, int))
        if not text.isascii():
            return None
        ends = zip(self.offsets, self.offsets[1:], strict=False)
        return tuple(text[start:end].decode() for start, end in ends) or None


class _Categories(msgspec.Struct):
    enc: list[_Column] = []


class _Trees(msgspec.Struct):
    cats: _Categories = msgspec.field(default_factory=_Categories)


class _Booster(msgspec.Struct):
    """One of booster "dart" holds its trees one level further in."""

    model: _Trees = msgspec.field(default_factory=_Trees)
    gbtree: "_Booster | None" = None


class _Learner(msgspec.Struct):
    gradient_booster: _Booster


class _Model(msgspec.Struct):
    """As much as is needed of XGBoost's own JSON."""

    learner: _Learner


def _lightgbm(part: Any) -> dict[int, Told]:
    booster = part.booster_ if hasattr(part, "fit") else part
    kept = booster.pandas_categorical or []
    positions = booster.params.get("categorical_column") or []
    if len(positions) != len(kept):
        return {}  # which of the columns were categories, it does not say
    return {at: _category(tuple(categories)) for at, categories in zip(positions, kept, strict=True)}


def _catboost(part: Any) -> dict[int, Told]:
    # It takes codes as strings, too: 3 and "3" are one category.
    return {at: Told("BYTES") for at in (*part.get_cat_feature_indices(), *part.get_text_feature_indices())}


def _category_encoders(part: Any) -> dict[int, Told]:
    names = list(part.feature_names_in_)
    dtypes: dict[str, Any] = dict(zip(names, _ask(part, "feature_dtypes_in_", ()), strict=False))
    found: dict[int, Told] = {}
    for column in part.cols:
        dtype = dtypes.get(column)
        if (categories := getattr(dtype, "categories", None)) is not None:
            found[names.index(column)] = _plain(categories.tolist())
        elif part.use_default_cols or getattr(dtype, "kind", "") == "O":
            found[names.index(column)] = Told("BYTES")
    return found


def _feature_engine(part: Any) -> dict[int, Told]:
    names = list(part.feature_names_in_)
    found: dict[int, Told] = {}
    for column, known in _ask(part, "encoder_dict_", {}).items():
        found[names.index(column)] = _plain(list(known)) if isinstance(known, dict | list) else Told("BYTES")
    for column, filler in _ask(part, "imputer_dict_", {}).items():
        if isinstance(filler, str):
            found[names.index(column)] = Told("BYTES")
    return found


def _skrub(part: Any) -> dict[int, Told]:
    names = list(part.feature_names_in_)
    return {
        names.index(column): Told("BYTES")
        for column, steps in part.all_processing_steps_.items()
        if any(type(step).__name__ == "ToStr" for step in steps)
    }


def _category(categories: tuple[Scalar, ...]) -> Told:
    """A column that must come as a category of exactly these values, whatever words there are for their type."""
    return Told(_plain(list(categories)).datatype, categories, categorical=True)


def _plain(values: list[Any]) -> Told:
    known = tuple(value for value in values if value is not None and value == value)
    if not known or any(isinstance(value, str) for value in known):
        return Told("BYTES", known if all(isinstance(value, str) for value in known) else ())
    return Told(datatype_of(np.asarray(known).dtype), known)


def _ask(part: Any, name: str, otherwise: Any = None) -> Any:
    """An attribute that a foreign class may compute, and fail at."""
    try:
        return getattr(part, name, otherwise)
    except Exception:
        return otherwise
