"""Commands run in this process, and the packages they write, loaded as a server loads them."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from model_manager.codecs.rows import rows_from_instances
from model_manager.inference.estimator_files import load_estimator
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.repository.metadata import declared_from, parse_metadata


def run(command: Any, *arguments: object) -> Result:
    """Run a click command, at a fixed time and width."""
    return CliRunner(env={"SOURCE_DATE_EPOCH": "1700000000", "COLUMNS": "200"}).invoke(command, [*map(str, arguments)])


def refusal(command: Any, *arguments: object) -> str:
    """The one line of a command of models/ that fails."""
    result = run(command, *arguments)
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


def failure(command: Any, *arguments: object) -> str:
    """The one line of a command of model-manager that could not do what was asked."""
    result = run(command, *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("model-manager: ")
    return lines[0]


def predictor_of(folder: Path) -> SklearnPredictor:
    """Load a package as a server does, golden rows included."""
    metadata = parse_metadata((folder / "metadata.json").read_bytes())
    with open(folder / "model.joblib", "rb") as file:
        estimator = load_estimator(file, library_mismatch="refuse").estimator
    predictor = SklearnPredictor(estimator, infer_signature(estimator, declared_from(metadata)))
    assert metadata.golden is not None
    rows = rows_from_instances(metadata.golden.instances, predictor.signature)
    check_golden(predictor, rows, metadata.golden.outputs)
    return predictor
