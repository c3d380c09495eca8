"""Forms of neighbours, support vectors, ensembles and text: what they leave to scikit-learn, and what has none."""

import warnings
from typing import Any

import numpy as np
import pytest
from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.builders import candidates
from model_manager.inference.compiled.compilation import Compilation, compile_predictor
from model_manager.inference.compiled.form import Form, NotCovered
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Rows
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC


def _compile(estimator: Any) -> Compilation:
    return compile_predictor(estimator, SklearnPredictor(estimator, infer_signature(estimator)), None)


def _form(estimator: Any, name: str) -> Form:
    return {one.name: one for one in candidates(estimator, infer_signature(estimator))}[name].build()


@pytest.mark.parametrize("k", [1, 2, 3, 4, 6, 20])
def test_neighbours_at_the_same_distance_are_chosen_as_scikit_learn_chooses(k: int) -> None:
    grid = np.array([[x, y] for x in range(6) for y in range(6)] * 2, dtype=float)
    labels = np.random.default_rng(0).choice(["a", "b", "c"], len(grid))
    estimator = KNeighborsClassifier(k).fit(grid, labels)
    asked = np.concatenate(
        [grid, grid + 0.5, grid + np.array([0.5, 0.0]), np.random.default_rng(1).uniform(0, 5, (40, 2))]
    )
    answers = _form(estimator, "numpy").predict(Rows((asked,)), ("predict", "predict_proba"))
    assert answers["predict"].tolist() == estimator.predict(asked).tolist()
    np.testing.assert_array_equal(answers["predict_proba"], estimator.predict_proba(asked))


def test_probabilities_of_support_vectors_stay_with_scikit_learn() -> None:
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        estimator = SVC(probability=True, random_state=0).fit(X, y)
    compilation = _compile(estimator)
    answers = compilation.predictor.predict(Rows((X,)), ("predict", "predict_proba"))
    assert set(compilation.report.forms["predict_proba"].values()) == {"sklearn"}
    assert compilation.predictor.form == "numpy+sklearn"
    np.testing.assert_array_equal(answers["predict_proba"], estimator.predict_proba(X))
    np.testing.assert_array_equal(answers["predict"], estimator.predict(X))


def _raises_at_commas(text: str) -> list[str]:
    if "," in text:
        raise RuntimeError("a comma")
    return text.split()


def test_what_a_tokenizer_raises_is_told_by_scikit_learn_and_is_no_failure_of_the_form() -> None:
    texts = np.array(["good film", "bad film", "good plot", "bad plot"] * 9, dtype=object)
    vectorizer = TfidfVectorizer(tokenizer=_raises_at_commas, token_pattern=None)
    estimator = make_pipeline(vectorizer, LogisticRegression()).fit(texts, texts == "good film")
    form = _form(estimator, "numpy")
    answer = form.predict(Rows((texts[:5],)), ("predict_proba",))["predict_proba"]
    np.testing.assert_allclose(answer, estimator.predict_proba(texts[:5]), rtol=1e-12)
    predictor = SklearnPredictor(estimator, infer_signature(estimator))
    compiled = compile_predictor(estimator, predictor, Rows((texts,))).predictor
    with pytest.raises(PredictionFailed, match="a comma"):
        compiled.predict(Rows((np.array(["good, film"], dtype=object),)), ("predict",))
    assert not any(getattr(compiled, "failures", {}).values())


@pytest.mark.parametrize("missing", [None, np.nan, 3.5, b"good film"])
def test_what_is_no_string_is_answered_or_refused_as_scikit_learn_does(missing: object) -> None:
    texts = np.array(["good film", "bad film", "good plot", "bad plot"] * 9, dtype=object)
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, texts == "good film")
    compiled = _compile(estimator).predictor
    assert compiled.form == "numpy"
    rows = Rows((np.array(["good film", missing], dtype=object),))
    try:
        expected = estimator.predict(rows.blocks[0])
    except Exception:
        with pytest.raises(PredictionFailed):
            compiled.predict(rows, ("predict",))
    else:
        assert compiled.predict(rows, ("predict",))["predict"].tolist() == expected.tolist()


def test_texts_that_are_names_of_files_have_no_form(tmp_path: Any) -> None:
    (tmp_path / "one").write_text("good film")
    names = np.array([str(tmp_path / "one")] * 4, dtype=object)
    estimator = make_pipeline(TfidfVectorizer(input="filename"), LogisticRegression()).fit(names, [0, 1, 0, 1])
    with pytest.raises(NotCovered, match="input='filename'"):
        _form_of_text(estimator)


def _form_of_text(estimator: Any) -> Form:
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["a good film", "a bad one"], [0, 1])
    return {one.name: one for one in candidates(estimator, infer_signature(texts))}["numpy"].build()


def test_an_ensemble_with_a_part_that_has_no_form_says_which() -> None:
    X, y = load_iris(return_X_y=True)
    parts = [("a", LogisticRegression(max_iter=500)), ("b", GaussianProcessClassifier())]
    estimator = VotingClassifier(parts).fit(X, y)
    with pytest.raises(NotCovered, match="a part of it has no form: GaussianProcessClassifier"):
        _form(estimator, "ensemble")


def test_an_ensemble_is_proved_where_its_trees_decide() -> None:
    X, y = load_iris(return_X_y=True)
    trees = RandomForestClassifier(3, random_state=0)
    estimator = VotingClassifier([("a", trees), ("b", make_pipeline(LogisticRegression(max_iter=500)))]).fit(X, y)
    splits = {(split.column, split.value) for split in _form(estimator, "ensemble").splits}
    inside = {
        (int(feature), float(threshold))
        for tree in estimator.estimators_[0].estimators_
        for feature, threshold in zip(tree.tree_.feature, tree.tree_.threshold, strict=True)
        if feature >= 0
    }
    assert splits == inside


def test_infinity_reaches_no_part_of_an_ensemble() -> None:
    X, y = load_iris(return_X_y=True)
    compiled = _compile(CalibratedClassifierCV(LinearSVC(), cv=2).fit(X, y)).predictor
    assert compiled.form == "ensemble"
    with pytest.raises(PredictionFailed, match="infinity"):
        compiled.predict(Rows((np.array([[1.0, np.inf, 0, 0]]),)), ("predict",))
