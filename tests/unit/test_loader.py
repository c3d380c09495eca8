"""server/model_manager/inference/estimator_files.py: what unpickles, what is refused, and why."""

import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pytest
from model_manager.errors import LoadFailed
from model_manager.inference.estimator_files import SKLEARN_VERSION, dump_estimator, load_estimator
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import DBSCAN
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.held_model import gate

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2


class Raises:
    """Unpickles to whatever calling `function` does."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Own(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps what it learned in an attribute without the trailing underscore."""

    def fit(self, X: Any, y: Any) -> "Own":
        self.mean = float(np.mean(y))
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean)


class Plain:
    """No scikit-learn at all."""

    def predict(self, X: Any) -> Any:
        return X[:, 0]


def load(content: bytes, policy: Any = "refuse") -> Any:
    return load_estimator(io.BytesIO(content), library_mismatch=policy)


def refusal(content: bytes, policy: Any = "refuse") -> tuple[str, str]:
    with pytest.raises(LoadFailed) as caught:
        load(content, policy)
    assert "\n" not in str(caught.value)
    return caught.value.reason, str(caught.value)


def written_by(version: str, estimator: Any) -> bytes:
    """The same pickle as another scikit-learn would have written it; versions of one length keep it whole."""
    assert len(version) == len(SKLEARN_VERSION)
    content = dump_estimator(estimator)
    assert SKLEARN_VERSION.encode() in content
    return content.replace(SKLEARN_VERSION.encode(), version.encode())


@pytest.mark.parametrize("compress", [0, 3])
def test_a_fitted_estimator_loads_and_answers(compress: int) -> None:
    estimator = LogisticRegression().fit(X, Y)
    loaded = load(dump_estimator(estimator, compress=compress))
    assert loaded.library_warning is None
    assert loaded.estimator.predict(X).tolist() == estimator.predict(X).tolist()


def test_another_librarys_artifact_is_refused_with_both_versions() -> None:
    content = written_by("1.0.2", make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y))
    reason, message = refusal(content)
    assert reason == "library_mismatch"
    assert f"written by scikit-learn 1.0.2, read by {SKLEARN_VERSION}" in message


def test_another_librarys_artifact_loads_under_warn_and_the_text_is_kept() -> None:
    loaded = load(written_by("1.0.2", LogisticRegression().fit(X, Y)), "warn")
    assert loaded.library_warning == f"written by scikit-learn 1.0.2, read by {SKLEARN_VERSION}"
    assert loaded.estimator.predict(X).shape == (12,)


def test_another_librarys_artifact_that_breaks_says_so_under_warn() -> None:
    content = written_by("1.0.2", make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y))
    content = content.replace(b"_logistic", b"_gonistic")
    reason, message = refusal(content, "warn")
    assert reason == "corrupt"
    assert "ModuleNotFoundError" in message
    assert "written by scikit-learn 1.0.2" in message


def test_policies_do_not_disturb_each_other_across_threads() -> None:
    content = written_by("1.0.2", LogisticRegression().fit(X, Y))

    def outcome(policy: str) -> str:
        try:
            return str(load(content, policy).library_warning)
        except LoadFailed as failure:
            return failure.reason

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(outcome, ["refuse", "warn"] * 20))
    assert set(outcomes[::2]) == {"library_mismatch"}
    assert set(outcomes[1::2]) == {f"written by scikit-learn 1.0.2, read by {SKLEARN_VERSION}"}


def test_a_mismatch_is_heard_whatever_the_artifact_does_to_the_filters(recwarn: pytest.WarningsRecorder) -> None:
    estimator = Own().fit(X, Y)
    estimator.parts = [Raises(warnings.simplefilter, "ignore"), LogisticRegression().fit(X, Y)]
    content = written_by("1.0.2", estimator)
    assert refusal(content)[0] == "library_mismatch"
    assert load(content, "warn").library_warning == f"written by scikit-learn 1.0.2, read by {SKLEARN_VERSION}"
    assert not recwarn.list


def test_outside_of_loading_scikit_learn_warns_as_ever() -> None:
    with pytest.warns(InconsistentVersionWarning, match=r"from version 1\.0\.2"):
        joblib.load(io.BytesIO(written_by("1.0.2", LogisticRegression().fit(X, Y))))


def test_a_model_that_is_slow_to_unpickle_holds_up_no_other() -> None:
    estimator = LogisticRegression().fit(X, Y)
    with gate("slow") as slow, ThreadPoolExecutor(2) as pool:
        held = pool.submit(load, slow.artifact(estimator))
        assert slow.entered.wait(20)
        assert pool.submit(load, dump_estimator(estimator)).result(20).library_warning is None
        mismatched = written_by("1.0.2", estimator)
        assert pool.submit(load, mismatched, "warn").result(20).library_warning is not None
        assert not held.done()
        slow.opened.set()
        assert held.result(20).library_warning is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "EOFError"),
        (b"no pickle", "cut short"),
        (dump_estimator(LogisticRegression().fit(X, Y))[:-40], ""),
        (dump_estimator(LogisticRegression().fit(X, Y), compress=3)[:-40], ""),
        (b"cno_such_module\nModel\n.", "install module 'no_such_module' in the server's image"),
        (b"c__main__\nNoSuchModel\n.", "move what the training script defines itself into an installed module"),
        (pickle.dumps(Raises(eval, "1 / 0")), "ZeroDivisionError: division by zero"),
        (pickle.dumps(Raises(exec, "raise MemoryError")), "raise the memory limit"),
        (pickle.dumps(Raises(exec, "raise RecursionError('too deep')")), "RecursionError: too deep"),
        (pickle.dumps(Raises(exec, "raise SystemExit(3)")), "SystemExit: 3"),
        (pickle.dumps(Raises(exec, "raise GeneratorExit")), "does not unpickle: GeneratorExit"),
        (pickle.dumps(Raises(exec, "import asyncio; raise asyncio.CancelledError")), "CancelledError"),
        (pickle.dumps(Raises(exec, "raise StopIteration(7)")), "StopIteration: 7"),
        (pickle.dumps(Raises(exec, "raise ValueError('two\\nlines')")), "ValueError: two lines"),
    ],
)
def test_what_does_not_unpickle_is_corrupt_and_says_why_in_one_line(content: bytes, told: str) -> None:
    reason, message = refusal(content)
    assert reason == "corrupt"
    assert told in message


def test_only_a_person_at_the_keyboard_interrupts_loading() -> None:
    content = pickle.dumps(Raises(exec, "raise KeyboardInterrupt"))
    with ThreadPoolExecutor(1) as loader:
        assert loader.submit(refusal, content).result(20)[0] == "corrupt"
    with pytest.raises(KeyboardInterrupt):
        load(content)


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ({"model": 1, "columns": 2}, "a dict with keys 'model', 'columns'"),
        ([1, 2], "a list"),
        (DBSCAN().fit(X), "a DBSCAN, which has none of predict"),
        (make_pipeline(StandardScaler(), DBSCAN()).fit(X), "a Pipeline, which has none of predict"),
        (make_pipeline(StandardScaler(), DBSCAN()).fit(X), ": its last step, DBSCAN, has none; DBSCAN labels only the"),
        (make_pipeline(make_pipeline(DBSCAN())).fit(X), ": its last step, DBSCAN, has none"),
        (LogisticRegression, "the class LogisticRegression"),
        (LogisticRegression(), "LogisticRegression in the artifact is not fitted"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "Pipeline in the artifact is not fitted"),
        (GridSearchCV(LogisticRegression(), {}), "not fitted"),
    ],
)
def test_what_predicts_nothing_is_not_a_model(held: Any, told: str) -> None:
    reason, message = refusal(dump_estimator(held))
    assert reason == "not_a_model"
    assert told in message


@pytest.mark.parametrize("estimator", [Own().fit(X, Y), Plain()])
def test_estimators_of_ones_own_are_not_held_to_scikit_learns_habits(estimator: Any) -> None:
    assert load(dump_estimator(estimator)).estimator.predict(X).shape == (12,)


def test_everything_fitted_inside_is_held_to_one_thread() -> None:
    forest = RandomForestClassifier(3, n_jobs=4)
    voting = VotingClassifier([("f", forest), ("n", KNeighborsClassifier(n_jobs=-1))], n_jobs=2)
    search = GridSearchCV(make_pipeline(StandardScaler(), voting), {}, cv=2)
    outer = MultiOutputClassifier(search, n_jobs=1).fit(X, np.stack([Y, 1 - Y], axis=1))
    outer.n_jobs = 3
    outer.own = {"set": ({"ring": outer},), "array": np.array([KNeighborsClassifier(n_jobs=5)], dtype=object)}
    loaded = load(dump_estimator(outer)).estimator
    fitted = loaded.estimators_[1].best_estimator_[-1]
    assert loaded.n_jobs == fitted.n_jobs == 1
    assert [part.n_jobs for part in fitted.estimators_] == [1, 1]
    assert loaded.own["array"][0].n_jobs == 1


def test_the_same_fit_gives_the_same_bytes() -> None:
    first, second = (RandomForestClassifier(5, random_state=1).fit(X, Y) for _ in range(2))
    assert dump_estimator(first, compress=3) == dump_estimator(second, compress=3)
    assert joblib.load(io.BytesIO(dump_estimator(first))).predict(X).tolist() == first.predict(X).tolist()
