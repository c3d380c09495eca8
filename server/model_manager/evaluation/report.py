"""What a version is worth → one HTML file, for people who decide: nothing in it is fetched, and it prints.

Place in the flow: the last step of `model-manager evaluate --report`. Words come from meaning, plots from plots.
"""

import datetime
from collections.abc import Callable, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from model_manager.errors import ReportRefused
from model_manager.evaluation.meaning import CALLED, better, differs, interval, meaning, number, summary
from model_manager.evaluation.page import page, section, table
from model_manager.evaluation.results import Evaluated, SegmentResult
from model_manager.repository.whole_files import not_written, write_whole
from model_manager.version import pip_install

_CARDS: Final = {
    "classification": ("accuracy", "roc_auc", "precision", "recall"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc"),
    "regression": ("mae", "rmse", "r2", "bias"),
    "anomaly": ("f1", "precision", "recall", "flagged"),
}
"""The figures that are shown large."""
_MOST_COLUMNS: Final = 20

_TOLD: Final = {
    "ROC": "How many of the {of} are found, for how many false alarms. The nearer to the upper left, the better; on "
    "the dashed line the version would be guessing.",
    "Precision and recall": "What share of the {of} is found, and what share of the alarms is right: a stricter "
    "threshold moves to the left. It matters more than ROC where they are rare.",
    "Calibration": "Whether probabilities can be taken at their word. Below the dashed line the version is too sure, "
    "above it not sure enough; larger dots are more rows.",
    "Answers beside the truth": "A dot a row: on the dashed line the answer is right, above it too high.",
}
"""How plots are read."""


def check_report(path: Path) -> None:
    """Raise ReportRefused, before anything was computed, where the report could not be drawn or written."""
    if find_spec("matplotlib") is None:
        message = "a report has plots, and matplotlib, which draws them, is not installed"
        raise ReportRefused(f"{message}: {pip_install('report')}; tables and --json need no plots")
    if not path.absolute().parent.is_dir():
        raise ReportRefused(f"{path}: there is no folder {path.parent}; make it first")


def write_report(evaluated: Evaluated, path: Path) -> None:
    """Write the report of an evaluation, whole or not at all. Raises ReportRefused."""
    check_report(path)
    content = report_of(evaluated, datetime.datetime.now(datetime.UTC)).encode()
    try:
        write_whole(path, content)
    except OSError as error:
        raise ReportRefused(f"{path}: the report cannot be written: {not_written(error)}") from error


def report_of(evaluated: Evaluated, now: datetime.datetime) -> str:
    """Give the report as the text of one HTML page."""
    title = f"{evaluated.model} {evaluated.version} on {Path(evaluated.source).name}"
    parts = [
        _head(evaluated, now),
        _gates(evaluated),
        _cards(evaluated),
        _plots(evaluated),
        _confusion(evaluated),
        _importances(evaluated),
        _segments(evaluated),
        _figures(evaluated),
        _notes(evaluated),
    ]
    return page(title, parts)


def _head(evaluated: Evaluated, now: datetime.datetime) -> str:
    about, data = evaluated.about, evaluated.about.get("data", {})
    used = (
        f"{evaluated.used:,} of {evaluated.rows:,} rows"
        if evaluated.used < evaluated.rows
        else f"{evaluated.rows:,} rows"
    )
    facts = [
        ("Evaluated on", f"{escape(evaluated.source)}, {used}{_digest(evaluated.source_sha256)}"),
        ("Asked for", _asked(evaluated)),
        ("Model", f"made {escape(str(about.get('created', 'at an unknown time')))}{_digest(evaluated.sha256)}"),
        (
            "Trained on",
            f"{escape(str(data.get('uri', 'data that the package does not name')))}{_digest(data.get('sha256'))}",
        ),
        *(
            (name, escape(str(data[key])))
            for name, key in (("Git commit", "git_commit"), ("DVC md5", "dvc_md5"))
            if key in data
        ),
        ("Report made", f"{now:%Y-%m-%d %H:%M} UTC"),
    ]
    lines = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in facts)
    return (
        f"<header><h1>{escape(evaluated.model)}, version {escape(evaluated.version)}</h1>"
        f'<p class="lead">{escape(summary(evaluated))}</p>'
        f'<table class="facts">{lines}</table></header>'
    )


def _digest(sha256: str | None) -> str:
    return f"<br><code>sha256 {escape(sha256)}</code>" if sha256 else ""


def _asked(evaluated: Evaluated) -> str:
    if evaluated.task == "regression":
        return f"“{escape(str(evaluated.target))}”, a quantity"
    if evaluated.task == "anomaly":
        told = f", told by “{escape(evaluated.target)}”" if evaluated.target is not None else ""
        return f"what is unlike the rest{told}"
    shown = ", ".join(f"“{escape(str(one))}”" for one in evaluated.classes[:8])
    more = f" and {len(evaluated.classes) - 8} more" if len(evaluated.classes) > 8 else ""
    after = (
        f"; precision and recall speak of “{escape(str(evaluated.positive))}”"
        if evaluated.task == "classification"
        else ""
    )
    return f"“{escape(str(evaluated.target))}”: {shown}{more}{after}"


def _gates(evaluated: Evaluated) -> str:
    if not evaluated.gates:
        return ""
    said = {True: '<span class="bad">fails</span>', False: '<span class="good">passes</span>', None: "cannot tell"}
    rows = ((f"<code>{escape(one.expression)}</code>", said[one.fired], escape(one.shown)) for one in evaluated.gates)
    return section("Gates", table(("fails if", "", "because"), rows))


def _cards(evaluated: Evaluated) -> str:
    cards = []
    for name in _CARDS[evaluated.task]:
        if (figure := evaluated.figures.get(name)) is not None:
            ends = f"95% interval {interval(figure)}" if figure.low is not None else "&nbsp;"
            cards.append(
                f'<div class="card">{escape(CALLED[name])}<b>{number(figure.value)}</b>'
                f'<span class="soft">{ends}<br>{escape(meaning(name, evaluated))}</span></div>'
            )
    return section("In short", f'<div class="cards">{"".join(cards)}</div>')


def _plots(evaluated: Evaluated) -> str:
    from model_manager.evaluation import plots

    curves, residuals = evaluated.curves, evaluated.curves.get("residuals") or {}
    drawn: tuple[tuple[str, Callable[[Any], str], Any], ...] = (
        ("ROC", plots.roc, curves.get("roc")),
        ("Precision and recall", plots.precision_recall, curves.get("precision_recall")),
        ("Calibration", plots.calibration, curves.get("calibration")),
        ("Answers beside the truth", plots.answered_beside_true, residuals.get("points")),
        ("Residuals", plots.residuals, residuals.get("histogram")),
    )
    shown = [
        f"<figure><h3>{name}</h3>{draw(curve)}<figcaption>{escape(_told(name, evaluated))}</figcaption></figure>"
        for name, draw, curve in drawn
        if curve
    ]
    return section("Plots", f'<div class="plots">{"".join(shown)}</div>') if shown else ""


def _told(plot: str, evaluated: Evaluated) -> str:
    """Say how a plot is read."""
    if plot == "Residuals":
        return _told_of_residuals(evaluated.curves["residuals"]["quantiles"])
    of = "anomalies" if evaluated.task == "anomaly" else f"rows that are “{evaluated.positive}”"
    return _TOLD[plot].replace("{of}", of)


def _told_of_residuals(quantiles: dict[str, float]) -> str:
    low, high = number(quantiles["0.05"]), number(quantiles["0.95"])
    return f"How far answers are off: nine of ten lie between {low} and {high}. What leans to one side is a bias."


def _confusion(evaluated: Evaluated) -> str:
    confusion = evaluated.curves.get("confusion")
    if confusion is None:
        return ""
    labels = [escape(str(label)) for label in confusion["labels"]]
    head = "".join(f'<th class="n">{label}</th>' for label in labels)
    rows = []
    for at, (label, counts) in enumerate(zip(labels, confusion["counts"], strict=True)):
        total = max(1, sum(counts))
        cells = "".join(
            f'<td style="background: color-mix(in srgb, var(--{"main" if number == at else "other"}) '
            f'{round(60 * count / total)}%, transparent)">{count:,}</td>'
            for number, count in enumerate(counts)
        )
        rows.append(f"<tr><th>{label}</th>{cells}</tr>")
    text = "Each line holds the rows of one true label, by what was answered: what is right stands on the diagonal."
    matrix = f'<table class="confusion"><tr><th>truth ↓ answer →</th>{head}</tr>{"".join(rows)}</table>'
    return section("Confusion", f'<p class="soft">{text}</p><div class="wide">{matrix}</div>')


def _importances(evaluated: Evaluated) -> str:
    from model_manager.evaluation import plots

    told = evaluated.curves.get("importances")
    if told is None:
        return ""
    if "why" in told:
        return section("What moves its answers", f'<p class="soft">{escape(told["why"])}</p>')
    most = max([one["mean"] for one in told["columns"]], default=0.0) or 1.0
    rows = (
        (
            escape(one["column"]),
            number(one["mean"]),
            f'<div style="background: var(--main); height: .7em; width: {one["mean"] / most * 12:.1f}em"></div>',
        )
        for one in told["columns"][:_MOST_COLUMNS]
    )
    text = (
        f"How far each column moved the answers, as a mean over {told['rows']} rows, whichever way; counted in the "
        f"{told['unit']} of {told['output']}, found by {told['method']}. It says what the model looks at, not what "
        "causes what."
    )
    headings = ("column", "mean contribution", "")
    drawn = "".join(
        f"<figure><h3>{escape(one['column'])}</h3>{plots.dependence(one, told['unit'])}"
        "<figcaption>The mean answer, if every row had this value and were otherwise what it is.</figcaption></figure>"
        for one in told["dependence"]
        if one["values"]
    )
    body = f'<p class="soft">{escape(text)}</p>{table(headings, rows, numbers=(1,))}<div class="plots">{drawn}</div>'
    return section("What moves its answers", body)


def _segments(evaluated: Evaluated) -> str:
    from model_manager.evaluation import plots

    parts = []
    second = next((one for one in _CARDS[evaluated.task][1:] if one in evaluated.figures), evaluated.headline)
    whole = evaluated.figures[evaluated.headline].value
    for column in dict.fromkeys(one.column for one in evaluated.segments):
        of_column = [one for one in evaluated.segments if one.column == column]
        rows = (_segment_row(one, evaluated, second) for one in of_column)
        headings = (column, "rows", CALLED[evaluated.headline], "95% interval", CALLED[second], "beside all rows")
        parts.append(f"<h3>by {escape(column)}</h3>{table(headings, rows, numbers=range(1, 5))}")
        ends = [(one.value, of) for one in of_column if (of := _ends(one, evaluated.headline)) is not None]
        if whole is not None and ends:
            drawn = plots.segments(
                [name for name, _ in ends], [of for _, of in ends], whole, CALLED[evaluated.headline]
            )
            parts.append(f'<div class="plot">{drawn}</div>')
    if not parts:
        return ""
    text = (
        "For whom the version is better or worse. It is said to be so where the interval of a segment leaves out the "
        "figure of all rows; of twenty segments that are all alike, one is expected to look so by chance."
    )
    return section("Segments", f'<p class="soft">{text}</p>{"".join(parts)}')


def _segment_row(segment: SegmentResult, evaluated: Evaluated, second: str) -> Sequence[str]:
    figure = segment.figures[evaluated.headline]
    said = "too few rows to tell" if segment.too_few else differs(segment, evaluated)
    marked = {"worse": '<span class="bad">worse</span>', "better": '<span class="good">better</span>'}.get(said, said)
    other = number(segment.figures[second].value)
    return escape(segment.value), f"{segment.rows:,}", number(figure.value), interval(figure), other, marked


def _ends(segment: SegmentResult, metric: str) -> tuple[float, float, float] | None:
    figure = segment.figures[metric]
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return figure.low, figure.value, figure.high


def _figures(evaluated: Evaluated) -> str:
    rows = (
        (escape(CALLED[name]), number(one.value), interval(one), better(name), escape(_explained(name, evaluated)))
        for name, one in evaluated.figures.items()
    )
    return section("All figures", table(("metric", "value", "95% interval", "better", "meaning"), rows, numbers=(1, 2)))


def _explained(name: str, evaluated: Evaluated) -> str:
    why = evaluated.undefined.get(name)
    return meaning(name, evaluated) if why is None else f"{meaning(name, evaluated)}; not defined here: {why}"


def _notes(evaluated: Evaluated) -> str:
    how = (
        f"Intervals: the rows were drawn {evaluated.resamples:,} times, as many as there are and with replacement, and "
        "every metric was taken of every draw; between the ends lie 95% of them. They tell how much chance there is in "
        "these rows, and nothing of how other data may differ from them."
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*evaluated.notes, *((how,) if evaluated.resamples else ())))
    return section("Notes", f"<ul>{notes}</ul>") if notes else ""
