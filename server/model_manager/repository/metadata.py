"""metadata.json: what a package says of its artifact. Written by packaging, read before an artifact is loaded."""

import datetime
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from model_manager.errors import LoadFailed
from model_manager.signature import (
    MOMENTS_DTYPE,
    Datatype,
    Declared,
    DeclaredColumn,
    DeclaredTensor,
    Missing,
    Moments,
    Output,
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = str | int | float | bool
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Extent = Annotated[int, Field(ge=-1, le=2**31 - 1)]
"""One number of a shape; -1 stands for the rows, and for a width that is not known."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Framework(_Part):
    """The library that wrote the artifact."""

    name: Literal["scikit-learn"] = "scikit-learn"
    version: str


class ArtifactInfo(_Part):
    """The artifact's file name, digest of its bytes, and size in bytes."""

    file: str
    sha256: Sha256
    bytes: Count


class ColumnInput(_Part):
    """One named input column."""

    name: str
    datatype: Datatype
    nullable: bool | None = None
    """Whether a missing value is accepted, as float64 where it is of integers or booleans.

    When absent, the loader tries it out; integers and booleans then take none.
    """
    categories: list[Scalar] | None = None
    missing: Missing | None = None
    """What the estimator is given for a missing value among Python objects: what it saw when it was fitted.

    An encoder of categories tells itself; when it does not and this is absent, NaN.
    """
    boxed: bool | None = None
    """Numbers or booleans that the estimator is given as Python objects, because it was fitted on such."""
    moments: Annotated[str, Field(pattern=f"^{MOMENTS_DTYPE.pattern}$")] | None = None
    """The pandas dtype of dates and times, such as "datetime64[us, UTC]"; they come as ISO 8601 strings (BYTES)."""
    dtype: Literal["category"] | None = None
    """Set where the estimator has to be given a pandas category: of exactly `categories`, in this order."""


class TensorInput(_Part):
    """One input tensor of shape [-1, columns] (or [-1]: one string a row); `columns` optionally names its columns."""

    name: str = "input"
    datatype: Datatype
    shape: list[Extent]
    columns: list[str] | None = None
    nullable: bool | None = None
    missing: Missing | None = None
    boxed: bool | None = None
    """Of all columns, as in ColumnInput."""


class OutputInfo(_Part):
    """One output: a method of the estimator, by name.

    `columns` names what its rows hold. `on_request`: it answers only requests that name it.
    """

    name: str
    datatype: Datatype
    shape: list[Extent]
    classes: list[Scalar] | None = None
    columns: list[str | None] | None = None
    on_request: bool | None = None


class Library(_Part):
    """A library that the artifact imports: what it is called where it is installed from, and the modules it brings.

    `version` is None for modules that no installed library brings, such as files of the author's own.
    """

    name: str
    version: str | None = None
    modules: list[str]


class DataInfo(_Part):
    """The training data: where it came from and the digest that says which it was.

    Of a file the digest is that of its bytes, of a table in memory that of its canonical CSV.
    """

    uri: str
    sha256: Sha256
    rows: Count
    columns: Count
    version: str | None = None
    """What its author calls this state of the data."""
    git_commit: str | None = None
    """The last commit that changed `git_path`, which holds the data as they were, or their .dvc file."""
    git_path: str | None = None
    dvc_md5: str | None = None
    target: str | None = None
    """The column that the estimator was fitted to predict, as the data calls it."""


class GateOutcome(_Part):
    """A condition that an evaluation had to meet, as it was written, and whether it did."""

    expression: str
    passed: bool


class Importance(_Part):
    """The mean size of what one column moved answers by."""

    column: str
    mean: float


class Dependence(_Part):
    """What the mean answer is if every row has a value of one column: for each of `of`, one for each of `values`."""

    column: str
    values: list[Scalar]
    of: list[str]
    answers: list[list[float]]


class Importances(_Part):
    """Which columns move answers, those that do most first, by explaining `rows` of the hold-out."""

    output: str
    unit: str
    method: str
    rows: Count
    columns: list[Importance]
    dependence: list[Dependence]


class Evaluation(_Part):
    """Metrics on a named hold-out; `sha256` is the digest of its file."""

    dataset: str
    rows: Count
    metrics: dict[str, float]
    gates: list[GateOutcome] | None = None
    """What `model-manager promote` asks for: a version that failed one is not made the default."""
    sha256: Sha256 | None = None
    importances: Importances | None = None
    """Left out where the version is not explained."""


class Card(_Part):
    """What its author says of a model in words. `text` is the whole model card, in Markdown."""

    owner: str | None = None
    description: str | None = None
    intended_use: str | None = None
    text: str | None = None


class Golden(_Part):
    """A few rows as V1 `instances` and, per output, what the author saw for them."""

    instances: list[Any] = Field(min_length=1)
    outputs: dict[str, list[Any]]


class Histogram(_Part):
    """Counts of a feature or an output over the training data: by bin edge (len(counts) + 1) or by value."""

    edges: list[float] | None = None
    values: list[Scalar] | None = None
    counts: list[Count]
    missing: Count = 0


class Baseline(_Part):
    """What training data and predictions looked like, per feature and per output (for drift)."""

    features: dict[str, Histogram]
    outputs: dict[str, Histogram]


def _kind_of_inputs(inputs: Any) -> str:
    # One decision for the whole list, so that an error speaks of the kind that was meant and not of both.
    first = inputs[0] if isinstance(inputs, list) and inputs else None
    return "tensor" if isinstance(first, TensorInput) or (isinstance(first, dict) and "shape" in first) else "columns"


Inputs = Annotated[
    Annotated[list[ColumnInput], Tag("columns")] | Annotated[list[TensorInput], Tag("tensor")],
    Discriminator(_kind_of_inputs),
]


class Metadata(_Part):
    """The whole of metadata.json. Everything but `inputs`, `outputs` and `golden` is for people and tools."""

    name: str | None = None
    version: str | None = None
    created: datetime.datetime | None = None
    framework: Framework | None = None
    python: str | None = None
    libraries: list[Library] | None = None
    artifact: ArtifactInfo | None = None
    inputs: Inputs | None = None
    outputs: list[OutputInfo] | None = None
    data: DataInfo | None = None
    evaluation: Evaluation | None = None
    card: Card | None = None
    public_categories: dict[str, list[Scalar]] | None = None
    """By column, the known categories that anybody may see in the model's metadata; of the others only the number."""
    golden: Golden | None = None
    baseline: Baseline | None = None


def parse_metadata(text: bytes) -> Metadata:
    """Read metadata.json.

    Raises LoadFailed("metadata_invalid") with the key and what is wrong with it.
    """
    try:
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise LoadFailed("metadata_invalid", f"metadata.json: {key}: {first['msg']}") from None


def declared_from(metadata: Metadata) -> Declared:
    """Turn what metadata says of inputs and outputs into plain values.

    Raises LoadFailed("metadata_invalid") for more than one tensor, or one that is not [-1] or [-1, columns].
    """
    inputs: Sequence[ColumnInput | TensorInput] = metadata.inputs or ()
    tensors = [one for one in inputs if isinstance(one, TensorInput)]
    tensor = _declared_tensor(tensors) if tensors else None
    columns = tuple(
        DeclaredColumn(
            one.name,
            one.datatype,
            one.nullable,
            tuple(one.categories or ()),
            boxed=one.boxed,
            missing=one.missing,
            moments=Moments.of(one.moments) if one.moments is not None else None,
            categorical=one.dtype == "category",
        )
        for one in inputs
        if isinstance(one, ColumnInput)
    )
    outputs, on_request = _declared_outputs(metadata.outputs or ())
    return Declared(columns or None, tensor, outputs if metadata.outputs else None, on_request)


def _declared_outputs(described: Sequence[OutputInfo]) -> tuple[tuple[Output, ...], tuple[Output, ...]]:
    outputs: list[Output] = []
    on_request: list[Output] = []
    for one in described:
        output = Output(
            one.name, one.datatype, tuple(one.shape), tuple(one.classes or ()), columns=tuple(one.columns or ())
        )
        (on_request if one.on_request else outputs).append(output)
    return tuple(outputs), tuple(on_request)


def _declared_tensor(tensors: list[TensorInput]) -> DeclaredTensor:
    if len(tensors) > 1:
        raise LoadFailed("metadata_invalid", "metadata.json: inputs: an estimator takes one tensor; declare one")
    tensor = tensors[0]
    if not 1 <= len(tensor.shape) <= 2 or tensor.shape[0] != -1:
        raise LoadFailed(
            "metadata_invalid", f"metadata.json: inputs.0.shape: {tensor.shape} is not [-1] or [-1, columns]"
        )
    width = tensor.shape[1] if len(tensor.shape) == 2 and tensor.shape[1] != -1 else None
    columns = None if tensor.columns is None else tuple(tensor.columns)
    if columns is not None and width is not None and len(columns) != width:
        message = f"metadata.json: inputs.0.columns: {len(columns)} names for {width} columns"
        raise LoadFailed("metadata_invalid", message)
    return DeclaredTensor(
        tensor.name,
        tensor.datatype,
        width,
        columns,
        tensor.nullable,
        boxed=tensor.boxed,
        missing=tensor.missing,
    )
