"""What a version that serves says of itself, for people: its columns, where it comes from, what its author wrote.

In the flow: registry → **profile** → the admin port, of one process or of any worker of a pod.
"""

from typing import Any, Final

import msgspec

from model_manager.codecs.schemas import v1_example
from model_manager.codecs.v2_metadata import describe_inputs, describe_outputs
from model_manager.serving.servable import Servable
from model_manager.serving.views import ModelView

_MOVED_BY: Final = 5


class Profile(msgspec.Struct):
    """One version. `inputs` and `outputs` as V2's metadata has them; `example`: a row to try, which is nobody's.

    `moved_by`: the columns that moved its answers to the hold-out most.
    """

    model: str
    version: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    properties: dict[str, str]
    example: Any
    metrics: dict[str, float]
    dataset: str = ""
    owner: str = ""
    description: str = ""
    intended_use: str = ""
    moved_by: tuple[str, ...] = ()


def profiles_of(view: ModelView) -> list[Profile]:
    """Every version of a model that is ready."""
    return [_profile(servable) for servable in view.ready.values()]


def _profile(servable: Servable) -> Profile:
    provenance, signature = servable.provenance, servable.signature
    said = provenance.metadata
    public = said.public_categories or {}
    card, evaluation = said.card, said.evaluation
    importances = evaluation.importances if evaluation is not None else None
    return Profile(
        servable.id.model,
        servable.id.version,
        describe_inputs(signature, public),
        describe_outputs(signature),
        {**provenance.properties(), **servable.form.properties()},
        v1_example(signature, public, said.golden.instances if said.golden is not None else ()),
        dict(evaluation.metrics) if evaluation is not None else {},
        evaluation.dataset if evaluation is not None else "",
        (card.owner if card is not None else "") or "",
        (card.description if card is not None else "") or "",
        (card.intended_use if card is not None else "") or "",
        tuple(one.column for one in importances.columns[:_MOVED_BY] if one.mean > 0) if importances is not None else (),
    )
