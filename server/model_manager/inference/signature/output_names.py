"""What the columns of a transformer's answer are called, for the model's metadata, as far as anyone may know.

Encoders and vectorizers call their columns by values of the training data: a plan, or the street that a person lives
in. Metadata is for anyone who can ask, so such names are not told; an author may declare them in metadata.json.
"""

from dataclasses import replace
from typing import Any, Final

from sklearn.preprocessing import OneHotEncoder

from model_manager.inference.parts_within import parts_within
from model_manager.signature import Output, Signature

MOST_NAMES: Final = 1000
"""An answer of more columns than this is not described by their names."""

_NAMED: Final = "transform"


def name_columns(estimator: Any, signature: Signature) -> Signature:
    """Give what a transformer answers the names of `get_feature_names_out`, unless metadata names it."""
    outputs = tuple(
        replace(output, columns=_names(estimator, output, signature)) if _may_be_named(output) else output
        for output in signature.outputs
    )
    return signature if outputs == signature.outputs else replace(signature, outputs=outputs)


def _may_be_named(output: Output) -> bool:
    return output.name == _NAMED and not output.columns and len(output.shape) == 2 and 0 < output.shape[1] <= MOST_NAMES


def _names(estimator: Any, output: Output, signature: Signature) -> tuple[str | None, ...]:
    values = _values_in_names(estimator)
    if values is None:
        return ()
    given = [column.name for column in signature.columns or ()] if signature.named else None
    try:
        names = [str(name) for name in estimator.get_feature_names_out(given)]
    except Exception:  # many transformers have no names, or only those of columns that they were fitted with
        return ()
    told = tuple(None if _tells(name, values) else name for name in names)
    return told if len(told) == output.shape[1] and any(told) else ()


def _values_in_names(estimator: Any) -> frozenset[str] | None:
    """The values of the training data that names may be made of; None where nobody can say."""
    values: set[str] = set()
    for part in parts_within(estimator):
        if not hasattr(type(part), "get_feature_names_out"):
            continue
        if not type(part).__module__.startswith("sklearn."):
            return None
        if isinstance(part, OneHotEncoder):
            if callable(part.feature_name_combiner):
                return None
            values.update(str(value) for categories in getattr(part, "categories_", ()) for value in categories)
        values.update(map(str, getattr(part, "vocabulary_", ())))
    return frozenset(values)


def _tells(name: str, values: frozenset[str]) -> bool:
    """Whether a name is one of the values, or ends in one behind an underscore."""
    return name in values or any(name[at + 1 :] in values for at, character in enumerate(name) if character == "_")
