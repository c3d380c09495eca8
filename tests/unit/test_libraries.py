"""What an artifact imports is found without running it, written down, and told where a load fails for want of it."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from model_manager.errors import LoadFailed, PackageRefused
from model_manager.inference.artifact_formats import load_artifact
from model_manager.inference.imported_modules import imported_modules
from model_manager.packaging.libraries import libraries_of, refuse_missing
from model_manager.packaging.package import write_package
from model_manager.repository.libraries import library_differences
from model_manager.repository.metadata import Library, Metadata, parse_metadata
from model_manager.serving.proving import Reading, prove, read
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OrdinalEncoder

X = np.arange(40.0).reshape(20, 2)


class Ran(Exception):
    """A pickle was run."""


def run() -> None:
    raise Ran


class Runs:
    def __reduce__(self) -> Any:
        return run, ()


def dumped(value: object, compress: Any) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, compress=compress)
    return file.getvalue()


def test_nothing_of_an_artifact_is_run() -> None:
    content = dumped({"before": np.arange(3), "it": Runs(), "after": LinearRegression()}, 0)
    with pytest.raises(Ran):
        joblib.load(io.BytesIO(content))
    modules = imported_modules(content, "joblib")
    assert {__name__, "sklearn.linear_model._base"} <= modules


MODELS: dict[str, Any] = {
    "forest": RandomForestClassifier(n_estimators=2).fit(X, [0, 1] * 10),
    "boosting": HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0]),
    "objects": OrdinalEncoder().fit(np.array([["a"], ["b"]], dtype=object)),
    "arrays": [np.arange(5), np.array(["x", None], dtype=object), np.zeros((0, 3)), np.array(7), LinearRegression()],
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_the_modules_behind_every_array_are_found(name: str, compress: Any) -> None:
    """Held against those that reading it really asks for."""
    asked: set[str] = set()

    class Noting(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            asked.add(module)
            return super().find_class(module, name)

    Noting(io.BytesIO(pickle.dumps(MODELS[name]))).load()
    modules = imported_modules(dumped(MODELS[name], compress), "joblib")
    assert {module for module in asked if module.startswith("sklearn")} <= modules
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        plain = imported_modules(pickle.dumps(MODELS[name], protocol), "joblib")
        assert {module for module in asked if module.startswith("sklearn")} <= plain


def test_the_modules_of_a_skops_file_are_those_of_its_schema() -> None:
    modules = imported_modules(skops.io.dumps(MODELS["forest"]), "skops")
    assert {"sklearn.ensemble._forest", "sklearn.tree._classes", "numpy", "skops.io"} <= modules


@pytest.mark.parametrize("content", [b"", b"no pickle", b"x\x9c damaged", dumped(MODELS["forest"], 0)[:-900]])
def test_a_damaged_artifact_tells_what_it_can(content: bytes) -> None:
    assert "tests" not in imported_modules(content, "joblib")
    assert imported_modules(content, "skops") == {"skops.io"}


def test_libraries_have_the_names_by_which_they_are_installed() -> None:
    found = libraries_of(["sklearn.tree._classes", "numpy", "collections", "builtins", "yaml", "my_own.features"])
    assert [one.name for one in found] == ["my_own", "numpy", "PyYAML", "scikit-learn"]
    assert [one.modules for one in found] == [["my_own"], ["numpy"], ["yaml"], ["sklearn"]]
    assert [one.version is None for one in found] == [True, False, False, False]


def test_what_is_missing_is_named_all_of_it_with_the_line_that_installs_it(tmp_path: Path) -> None:
    refuse_missing(["sklearn.tree", "numpy"])
    with pytest.raises(PackageRefused, match="needs cv2, no_such, which are not installed here: pip install opencv-py"):
        refuse_missing(["no_such.deep", "cv2", "numpy"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    with pytest.raises(PackageRefused, match=f"mine lies in {tmp_path}: set PYTHONPATH={tmp_path}"):
        refuse_missing(["mine.steps"], tmp_path)


def test_only_what_differs_is_told() -> None:
    sklearn, numpy = libraries_of(["sklearn"])[0], libraries_of(["numpy"])[0]
    assert library_differences([sklearn, numpy]) == ""
    older = sklearn.model_copy(update={"version": "1.0.2"})
    assert library_differences([older, numpy]) == (
        f"packed with scikit-learn 1.0.2, {sklearn.version} here: pip install 'scikit-learn==1.0.2'"
    )
    gone = Library(name="lightgbm-x", version="4.6.0", modules=["no_such_lightgbm"])
    own = Library(name="my_own", modules=["no_such_module"])
    assert library_differences([gone, own, numpy]) == (
        "packed with lightgbm-x 4.6.0, not installed here; module no_such_module is not here, which no library brings: "
        "add it to the server's image: pip install 'lightgbm-x==4.6.0'"
    )
    other_name = Library(name="scikit-learn-cpu", version="1.0", modules=["sklearn"])
    assert library_differences([other_name]) == ""  # another library brings the module


def reading(metadata: Metadata, format: Any = "joblib") -> Reading:
    return Reading(
        format, metadata.model_dump_json(exclude_none=True).encode(), "refuse", ("no_such_library.Model",), 1000000
    )


def test_a_server_that_lacks_a_library_says_which_and_how_to_get_it() -> None:
    metadata = Metadata(libraries=[Library(name="no-such-library", version="4.6.0", modules=["no_such_library"])])
    with pytest.raises(LoadFailed) as failed:
        read(io.BytesIO(b"cno_such_library.deep\nModel\n."), reading(metadata))
    assert failed.value.reason == "corrupt"
    assert "ModuleNotFoundError" in str(failed.value)
    assert "packed with no-such-library 4.6.0, not installed here: pip install 'no-such-library==4.6.0'" in str(
        failed.value
    )


def test_a_skops_file_whose_library_is_missing_names_the_module() -> None:
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(LinearRegression().fit(X, X[:, 0])))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["schema.json"] = files["schema.json"].replace(b"sklearn.linear_model._base", b"no_such_library.models")
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert "no_such_library.models" in imported_modules(changed.getvalue(), "skops")
    changed.seek(0)
    trusted = ("no_such_library.models.LinearRegression", "numpy.dtype")
    with pytest.raises(LoadFailed, match="install module 'no_such_library' in the server's image"):
        load_artifact(changed, "skops", library_mismatch="refuse", skops_trusted=trusted, most_bytes=1_000_000)


def test_answers_that_changed_with_a_library_say_so(tmp_path: Path) -> None:
    folder = write_package(LinearRegression().fit(X, X[:, 0]), name="m", version="1", repository=tmp_path, sample=X)
    metadata = parse_metadata((folder / "metadata.json").read_bytes())
    assert metadata.golden is not None
    assert metadata.libraries is not None
    loaded, _ = read(io.BytesIO((folder / "model.joblib").read_bytes()), reading(metadata))
    prove(loaded, metadata)
    golden = metadata.golden.model_copy(update={"outputs": {"predict": [1e6, 1e6, 1e6]}})
    older = [one.model_copy(update={"version": "1.0"}) for one in metadata.libraries if one.name == "numpy"]
    with pytest.raises(LoadFailed, match=r"packed with numpy 1\.0, .* here: pip install 'numpy==1\.0'") as failed:
        prove(loaded, metadata.model_copy(update={"golden": golden, "libraries": older}))
    assert failed.value.reason == "golden_mismatch"
