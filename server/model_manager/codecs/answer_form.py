"""How an answer of V2 is to be written where a request asks for more than JSON: what its checked parameters come to.

Beside the codec: read with the request, kept by it, and followed when its answer is written.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np

from model_manager.codecs.parameters import LITERALS
from model_manager.signature import Array, Output

_NONE: Final[Mapping[str, int]] = MappingProxyType({})


class AnswerForm(msgspec.Struct, frozen=True):
    """The outputs that are answered in `binary`; of how many classes of an output the best are wanted, by its name.

    `literals`: NaN and infinities are written as such, which is no JSON; null stands for them otherwise.
    """

    binary: frozenset[str] = frozenset()
    classes: Mapping[str, int] = _NONE
    literals: bool = False


def form_of(parameters: object, outputs: Sequence[tuple[str, object]], chosen: Sequence[str]) -> AnswerForm | None:
    """Read checked parameters, of a request and of each output it names; None where JSON is answered as usual.

    An output's own `binary_data` goes before the request's `binary_data_output`. `chosen`: all outputs of the answer.
    """
    general = parameters if isinstance(parameters, dict) else {}
    binary = set(chosen) if general.get("binary_data_output") else set()
    classes: dict[str, int] = {}
    for name, own in outputs:
        if not isinstance(own, dict):
            continue
        if own.get("binary_data") is not None:
            (binary.add if own["binary_data"] else binary.discard)(name)
        if own.get("classification") is not None:
            classes[name] = own["classification"]
    literals = general.get(LITERALS) is True
    return AnswerForm(frozenset(binary), classes, literals) if binary or classes or literals else None


def best_classes(array: Array, most: int, output: Output) -> Array:
    """The best `most` values of each row as strings value:index, or value:index:label, the greatest first.

    Values are written as Triton writes them, and what is no number is the least.
    """
    values = array.reshape(len(array), -1)
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), axis=1, kind="stable")[:, :most]
    labels = output.classes if len(output.classes) == values.shape[1] and array.ndim == 2 else ()
    written = "%f" if values.dtype.kind == "f" else "%d"
    best = np.empty(order.shape, dtype=object)
    for row, indices in enumerate(order.tolist()):
        for rank, index in enumerate(indices):
            text = f"{written % values[row, index]}:{index}"
            best[row, rank] = f"{text}:{labels[index]}" if labels else text
    return best
