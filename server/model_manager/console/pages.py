"""Values → pages: what each shows, in which order, and in which words; the templates have the rest.

In the flow: api/console gathers what the pod says → **pages** → HTML.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from model_manager.console.asking import ROW, fields_of
from model_manager.console.reasons import plain, reasons_of, signed
from model_manager.drift import Tally, report
from model_manager.feedback import AccuracyTally, report_accuracy
from model_manager.ledger import Event
from model_manager.serving.attempt import Attempt
from model_manager.serving.index import IndexRow
from model_manager.serving.profile import Profile
from model_manager.version import __version__

_COLUMNS_SHOWN: Final = 12
_EVENTS_SHOWN: Final = 25
_LONGEST: Final = 200
"""Characters of a foreign text in a table."""
_ON_ITS_WAY: Final = frozenset({"wanted", "fetching", "loading", "proving", "draining"})
_WORDS: Final = {"READY": "good", "LOADING": "busy", "UNLOADING": "busy", "UNAVAILABLE": "bad"}
_FACTS: Final = {
    "created": "made",
    "trained_with_sklearn": "trained with scikit-learn",
    "sklearn_version": "served by scikit-learn",
    "form": "form",
    "data_uri": "data",
    "data_sha256": "data's digest",
    "data_git_commit": "data's commit",
    "data_dvc_md5": "data in DVC",
    "sha256": "artifact's digest",
    "library_warning": "warning",
}
"""Of a version's properties, those that people ask for, by their words."""


@dataclass(frozen=True, slots=True)
class Page:
    """What pages show. `waiting_for`: why there should be no traffic; `actions`: whether they may change anything."""

    rows: Sequence[IndexRow]
    waiting_for: str = ""
    actions: bool = False
    tallies: Sequence[Tally] = ()
    accuracies: Sequence[AccuracyTally] = ()
    events: Sequence[Event] | None = None
    """None where no ledger is kept."""
    unread: str = ""
    """Why the ledger cannot be read, if it cannot."""
    model: str = ""
    profiles: Sequence[Profile] = ()


@dataclass(slots=True)
class _Model:
    name: str
    versions: list[IndexRow] = field(default_factory=list)
    drifted: dict[str, list[str]] = field(default_factory=dict)
    """By version, the columns that drifted, the worst first."""

    @property
    def default(self) -> str:
        return next((row.version for row in self.versions if "default" in row.parameters), "")


class Pages:
    """Makes pages, on any thread but the event loop's: templates are read when they are needed first.

    What is below `under`, the path of the console, belongs to it.
    """

    def __init__(self, under: str) -> None:
        self._under = under

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("model_manager.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.globals |= {"under": self._under, "server_version": __version__}
        environment.filters |= {
            "mark": lambda state: _WORDS.get(state, "bad"),
            "short": lambda text: text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…",
            "time": lambda at: Markup('<time datetime="{0}">{1:%Y-%m-%d %H:%M:%S}</time>').format(at.isoformat(), at),
            "number": lambda value: f"{value:,.4g}",
        }
        environment.filters |= {"plain": plain, "signed": signed}
        return environment

    def overview(self, page: Page) -> str:
        """Every model, in what state, and what happened last."""
        return self._render("overview.html", page, models=_models(page), events=_events(page))

    def models(self, page: Page) -> str:
        """The part of the overview that changes."""
        return self._render("parts/models.html", page, models=_models(page))

    def model(self, page: Page) -> str:
        """One model: its versions, traffic, drift, where they come from, and a row to try."""
        versions = [row for row in page.rows if row.name == page.model]
        return self._render(
            "model.html",
            page,
            versions=versions,
            default=_Model(page.model, versions).default,
            profiles=[_told(one) for one in page.profiles],
            drift=_drift(page),
            accuracy=_accuracy(page),
            events=_events(page),
        )

    def versions(self, page: Page) -> str:
        """The table of a model's versions, which changes."""
        return self._render("parts/versions.html", page, versions=[r for r in page.rows if r.name == page.model])

    def drift(self, page: Page) -> str:
        """How far a model's rows lie from the training, which changes."""
        return self._render("parts/drift.html", page, drift=_drift(page))

    def accuracy(self, page: Page) -> str:
        """How right a model's versions were, which changes."""
        return self._render("parts/accuracy.html", page, accuracy=_accuracy(page))

    def form(self, page: Page, profile: Profile) -> str:
        """A form for a row of one version."""
        row = json.dumps(profile.example)
        return self._render("parts/form.html", page, profile=profile, fields=fields_of(profile), row=row, ROW=ROW)

    def answer(self, page: Page, attempt: Attempt, body: str) -> str:
        """What came of a row that was tried, and what moved its answer."""
        told, reasons = _answer(attempt, page.profiles), reasons_of(attempt)
        return self._render("parts/answer.html", page, attempt=attempt, body=body, told=told, reasons=reasons)

    def _render(self, template: str, page: Page, **shown: Any) -> str:
        return self._environment.get_template(template).render(page=page, **shown)


def _models(page: Page) -> list[_Model]:
    found: dict[str, _Model] = {}
    for row in page.rows:
        found.setdefault(row.name, _Model(row.name)).versions.append(row)
    for tally in page.tallies:
        if tally.model in found:
            drifted = report(tally)["drifted"]
            if drifted:
                found[tally.model].drifted[tally.version] = drifted
    return [*found.values()]


def _events(page: Page) -> Sequence[Event] | None:
    """What people look for, the newest first: what is on its way is told by the states of now."""
    if page.events is None:
        return None
    told = [event for event in page.events if event.what != "state" or event.to not in _ON_ITS_WAY]
    return told[: -_EVENTS_SHOWN - 1 : -1]


def _drift(page: Page) -> list[dict[str, Any]]:
    told = [report(tally) for tally in page.tallies if tally.model == page.model]
    for one in told:
        one["shown"], one["more"] = one["columns"][:_COLUMNS_SHOWN], max(0, len(one["columns"]) - _COLUMNS_SHOWN)
    return told


def _accuracy(page: Page) -> list[dict[str, Any]]:
    return [report_accuracy(tally) for tally in page.accuracies if tally.model == page.model]


def _told(profile: Profile) -> dict[str, Any]:
    facts = {words: profile.properties[name] for name, words in _FACTS.items() if profile.properties.get(name)}
    return {"profile": profile, "facts": facts}


def _answer(attempt: Attempt, profiles: Iterable[Profile]) -> Mapping[str, Any] | None:
    """The label, and the chance of each class where there are chances, of the first row; None: show the body."""
    if attempt.code != 200:
        return None
    (said,) = json.loads(attempt.body)["predictions"] or [None]
    label, chances = (said.get("predict"), said.get("predict_proba")) if isinstance(said, dict) else (said, None)
    if isinstance(chances, list) and not any(isinstance(one, list) for one in chances):
        classes = next(
            (
                one["parameters"]["classes"]
                for profile in profiles
                for one in profile.outputs
                if one["name"] == "predict_proba" and "classes" in one.get("parameters", {})
            ),
            range(len(chances)),
        )
        return {"label": label, "chances": [*zip(map(str, classes), chances, strict=False)]}
    return {"label": label, "chances": []}
