"""Bytes → estimator, by the format that an artifact's name says. Runs in a loader thread.

In the flow: `open_artifact` → **here** → signature, golden rows. The bytes never choose who reads them.
"""

from collections.abc import Sequence
from functools import partial
from typing import BinaryIO, Literal

from model_manager.inference.estimator_files import LoadedEstimator, load_estimator
from model_manager.inference.onnx_model import read_onnx
from model_manager.inference.skops_files import read_skops


def load_artifact(
    file: BinaryIO,
    format: Literal["joblib", "skops", "onnx"],
    *,
    library_mismatch: Literal["refuse", "warn"],
    skops_trusted: Sequence[str] = (),
    most_bytes: int,
) -> LoadedEstimator:
    """Read the estimator of a file. `skops_trusted` are types, `most_bytes` bounds what a compressed file unpacks to.

    Raises LoadFailed as load_estimator, read_skops and read_onnx do.
    """
    if format == "onnx":
        model = read_onnx(file)
        return LoadedEstimator(model, None, declared=model.declared, compilable=False)
    if format == "skops":
        unpickle = partial(read_skops, trusted=skops_trusted, most_bytes=most_bytes)
        return load_estimator(file, library_mismatch=library_mismatch, unpickle=unpickle)
    return load_estimator(file, library_mismatch=library_mismatch)
