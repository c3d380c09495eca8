"""The gates of a version's evaluation, as its metadata recorded them: which passed, and which did not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gates:
    """What is recorded of a version's gates: their expressions. All empty where nothing is recorded."""

    passed: Sequence[str] = ()
    failed: Sequence[str] = ()

    def __str__(self) -> str:
        if self.failed:
            return f"failed its gates: {'; '.join(self.failed)}"
        if self.passed:
            return f"passed its gates: {'; '.join(self.passed)}"
        return "no gates are recorded for it"


def gates_of(metadata: bytes | None) -> Gates:
    """Read the gates in metadata.json. What is there and cannot be read has not passed."""
    if metadata is None:
        return Gates()
    try:
        described = json.loads(metadata)
    except ValueError:
        return Gates(failed=["its metadata is no JSON"])
    evaluation = described.get("evaluation") if isinstance(described, dict) else None
    gates = evaluation.get("gates") if isinstance(evaluation, dict) else None
    if gates is None:
        return Gates()
    if not isinstance(gates, list):
        return Gates(failed=["evaluation.gates is no list"])
    passed = [_expression(gate) for gate in gates if _has_passed(gate)]
    return Gates(passed, [_expression(gate) for gate in gates if not _has_passed(gate)])


def _has_passed(gate: Any) -> bool:
    return isinstance(gate, dict) and gate.get("passed") is True


def _expression(gate: Any) -> str:
    return str(gate.get("expression", gate) if isinstance(gate, dict) else gate)
