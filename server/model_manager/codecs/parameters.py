"""The `parameters` of requests, inputs and outputs: what each means here. None that would change a meaning is dropped.

Beside the decoders of V1 and V2. The protocol names no parameters; these are those that its servers and clients know.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NoReturn, TypeAlias

import msgspec

from model_manager.call import HIGH, LOW, NORMAL, PRIORITIES
from model_manager.codecs.json_text import excerpt, listing, refuse_repeated_key
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Datatype

Parameters: TypeAlias = dict[str, str | int | float | bool | None] | msgspec.UnsetType | None
"""Parameters as the protocol has them, flat; whoever nests them is read by the reference path."""

CONTENT_TYPES: Final[Mapping[str, frozenset[Datatype]]] = {
    "np": frozenset(DTYPES),  # an array of the tensor's own datatype: how every tensor is read and written
    "str": frozenset({"BYTES"}),  # UTF-8 strings: how BYTES are read and written
    "datetime": frozenset({"BYTES"}),  # ISO 8601 strings, for columns of dates alone: tensors.py refuses others
}
"""The encodings that are served, and the datatypes of the tensors they may describe. Each is what is done anyway."""

ENCODINGS: Final[Mapping[str, frozenset[Datatype]]] = {
    "base64": frozenset({"BYTES"}),  # of UTF-8 strings
    "pd_json": frozenset({"BYTES"}),  # a JSON value in each string: columns in which MLServer's codec found objects
    "hg_json": frozenset({"BYTES"}),
}
"""Encodings that inputs may say to be in, and which encodings.py undoes."""

_OF_INPUTS: Final = {**CONTENT_TYPES, **ENCODINGS}

_LONGEST_TIMEOUT_US: Final = 10**15  # more than any float of seconds needs to tell apart
_TABLE_CONTENT_TYPE: Final = "pd"
"""Of a whole request: its inputs are the columns of one table. So they are read where columns have names."""

HARMLESS: Final = frozenset(
    {
        "sequence_id",  # where a request stands in a sequence: these models have no memory, so no answer depends on it
        "sequence_start",
        "sequence_end",
        "headers",  # what a gateway says of the request it passed on: speaks of the sender, not of the data
    }
)
"""Parameters of a request that are read over, because no answer would be another one for them."""

URGENCY: Final = ("priority", "timeout")
"""Parameters of a request that say when an answer is wanted, not which."""

_NUMBERED: Final[Mapping[int, int | None]] = {0: None, 1: HIGH, 2: NORMAL, 3: LOW}
"""Priorities as Triton numbers them: 0 is the default, 1 the most urgent."""

LITERALS: Final = "non_finite_literals"
SWITCHES: Final = ("binary_data_output", LITERALS)
"""Parameters of a request that say how answers are written: answer_form.py has their meaning."""

BINARY_SIZE: Final = "binary_data_size"
"""Of an input whose values follow the JSON: their bytes."""

_NOT_SERVED: Final[Mapping[str, str]] = {
    "classification": "it is asked for of an output",
    "binary_data": "it is asked for of an output, or as binary_data_output of the whole request",
    "binary_data_output": "it is asked for of a whole request to V2",
    "binary_data_size": "it is said of an input of V2 that has no data",
    "non_finite_literals": "it is asked for of a whole request",
    "shared_memory_region": "shared memory is not read or written here, send and take data as JSON",
    "shared_memory_offset": "shared memory is not read or written here, send and take data as JSON",
    "shared_memory_byte_size": "shared memory is not read or written here, send and take data as JSON",
}


def check_request_parameters(
    parameters: object, datatypes: Mapping[str, Datatype] | None
) -> tuple[float | None, int | None]:
    """Check the parameters of a whole request; `datatypes` are those of its inputs by name, None where it has none.

    Returns the seconds it allows and its priority, None where it says nothing. Raises InvalidInput naming
    the parameter.
    """
    timeout_s: float | None = None
    priority: int | None = None
    for name, value in _given(parameters, "parameters"):
        if name == "timeout":
            timeout_s = _timeout(value)
            continue
        if name == "priority":
            priority = _priority(value)
            continue
        if name in HARMLESS:
            continue
        if name == LITERALS or (name in SWITCHES and datatypes is not None):
            _require_boolean(value, f"parameters: {name}")
            continue
        if name != "content_type" or datatypes is None:
            known = (*HARMLESS, *URGENCY, LITERALS)
            _refuse("parameters", name, ("content_type", SWITCHES[0], *known) if datatypes is not None else known)
        if value != _TABLE_CONTENT_TYPE:
            for tensor, datatype in datatypes.items():
                place = f"parameters: content_type: input {excerpt(tensor)}"
                _check_content_type(value, datatype, place, CONTENT_TYPES, _TABLE_CONTENT_TYPE)
    return timeout_s, priority


def _timeout(value: object) -> float | None:
    """Microseconds, as Triton has them; 0 leaves it to the model."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(f"parameters: timeout: expected microseconds, a whole number from 0, got {excerpt(value)}")
    return min(value, _LONGEST_TIMEOUT_US) / 1e6 or None


def _priority(value: object) -> int | None:
    if isinstance(value, str) and value in PRIORITIES:
        return PRIORITIES[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in _NUMBERED:
        return _NUMBERED[value]
    raise InvalidInput(
        'parameters: priority: expected "high", "normal" or "low", or 1, 2 or 3 for the same (0: the default), '
        f"got {excerpt(value)}"
    )


def check_input_parameters(parameters: object, name: str, datatype: Datatype, *, binary: bool = False) -> None:
    """Check the parameters of one input; `binary`: it has no data. Raises InvalidInput naming input and parameter."""
    place = f"input {excerpt(name)}"
    for key, value in _given(parameters, f"{place}: parameters"):
        if key == "content_type":
            _check_content_type(value, datatype, f"{place}: content_type", _OF_INPUTS)
        elif key == BINARY_SIZE and not binary:
            raise InvalidInput(f"{place}: has both data and {BINARY_SIZE}; send one of them")
        elif key != BINARY_SIZE and (key != "binary_data" or value is not False):
            _refuse(f"{place}: parameters", key, ("content_type", BINARY_SIZE))


def check_output_parameters(parameters: object, name: str, datatype: Datatype) -> None:
    """Check the parameters of one output that is asked for. Raises InvalidInput naming output and parameter."""
    place = f"output {excerpt(name)}"
    for key, value in _given(parameters, f"{place}: parameters"):
        if key == "content_type":
            _check_content_type(value, datatype, f"{place}: content_type", CONTENT_TYPES)
        elif key == "binary_data":
            _require_boolean(value, f"{place}: parameters: {key}")
        elif key == "classification":
            _check_classification(value, datatype, f"{place}: parameters: {key}")
        else:
            _refuse(f"{place}: parameters", key, ("content_type", "binary_data", "classification"))


def _check_classification(value: object, datatype: Datatype, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(
            f"{place}: expected how many classes are wanted, a whole number from 1, got {excerpt(value)}"
        )
    if datatype in ("BYTES", "BOOL"):
        raise InvalidInput(
            f"{place}: its values are {datatype}, which have no order; ask for it of an output of numbers"
        )


def _require_boolean(value: object, place: str) -> None:
    if not isinstance(value, bool):
        raise InvalidInput(f"{place}: expected true or false, got {excerpt(value)}")


def _given(parameters: object, place: str) -> list[tuple[str, object]]:
    """The parameters that are set; one that is null is as if it were not there."""
    if parameters is None or parameters is msgspec.UNSET:
        return []
    if not isinstance(parameters, dict):
        raise InvalidInput(f"{place}: expected an object, got {excerpt(parameters)}")
    refuse_repeated_key(parameters, place)
    return [(name, value) for name, value in parameters.items() if value is not None]


def _check_content_type(
    value: object, datatype: Datatype, place: str, served: Mapping[str, frozenset[Datatype]], *beside: str
) -> None:
    datatypes = served.get(value) if isinstance(value, str) else None
    if datatypes is None:
        known = listing(sorted((*served, *beside)))
        raise InvalidInput(f"{place}: {excerpt(value)} is not served here; served: {known}. Send plain values")
    if datatype not in datatypes:
        raise InvalidInput(f"{place}: {excerpt(value)} does not describe datatype {datatype}; leave it out")


def _refuse(place: str, name: str, known: Iterable[str]) -> NoReturn:
    advice = _NOT_SERVED.get(name)
    if advice is None:
        raise InvalidInput(f"{place}: {excerpt(name)} is not known here; known: {listing(sorted(known))}")
    raise InvalidInput(f"{place}: {excerpt(name)} is not served here: {advice}")
