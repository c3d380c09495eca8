"""Arrays in, arrays out: the estimator's own methods behind the one interface that batches are given to."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from model_manager.errors import PredictionFailed, one_line
from model_manager.inference.features import feature_builder
from model_manager.inference.methods import call, method_and_index
from model_manager.inference.onnx_model import OnnxModel
from model_manager.signature import DTYPES, Array, Rows, Signature


class Predictor(Protocol):
    """What answers a batch. One call at a time per predictor; calls may come from different threads."""

    @property
    def form(self) -> str:
        """How answers are computed: "sklearn", or the name of a compiled form."""
        ...

    @property
    def signature(self) -> Signature:
        """What rows must look like and which outputs can be asked for."""
        ...

    def predict(self, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array]:
        """Answer every output asked for with one array of len(rows) rows, of the output's declared dtype.

        Raises PredictionFailed.
        """
        ...


class SklearnPredictor:
    """Calls the methods of what was loaded: scikit-learn itself, or an ONNX model that has the same."""

    form = "sklearn"

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self.signature = signature
        if isinstance(estimator, OnnxModel):
            self.form = "onnx"
        self.estimator = estimator
        self._build: Callable[[Rows], Any] = feature_builder(signature)
        self._dtypes = {output.name: DTYPES[output.datatype] for output in signature.offered}
        self._methods = {output.name: method_and_index(output.name) for output in signature.offered}

    def predict(self, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array]:
        """Build X once, call each method that is asked for once.

        Raises PredictionFailed when the estimator raises, whatever it raises, or answers with another number of rows.
        A KeyboardInterrupt alone passes: where packages are made it is a person's.
        """
        count = len(rows)
        called: dict[str, Array | list[Array]] = {}
        answers: dict[str, Array] = {}
        step = "reading the rows"
        try:
            X = self._build(rows)
            for name in outputs:
                step, index = self._methods[name]
                if step not in called:
                    called[step] = call(self.estimator, step, X)
                answer = called[step]
                part = answer[index] if isinstance(answer, list) and index is not None else np.asarray(answer)
                if part.shape[:1] != (count,):
                    raise PredictionFailed(f"{name} answered {part.shape[0] if part.ndim else 'no'} rows to {count}")
                answers[name] = part.astype(self._dtypes[name], copy=False)
        except (PredictionFailed, KeyboardInterrupt):
            raise
        except BaseException as error:
            shown = f"{step} raised {type(error).__name__[:100]}"
            raise PredictionFailed(f"{step} raised {one_line(error)}", shown=shown) from error
        return answers
