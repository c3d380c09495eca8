"""The files that pages name, packed in the wheel: none comes from the internet."""

import gzip
from importlib.resources import files
from typing import Final

_FOLDER: Final = files("model_manager.console") / "static"
ASSETS: Final = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "uPlot.iife.min.js": "text/javascript; charset=utf-8",
    "uPlot.min.css": "text/css; charset=utf-8",
}
"""By name, the media type."""


def asset(name: str, *, compressed: bool) -> tuple[bytes, bool]:
    """The bytes of one of ASSETS, and whether they are in gzip, as they are where `compressed` ones are taken."""
    packed = _FOLDER / f"{name}.gz"
    if not packed.is_file():
        return (_FOLDER / name).read_bytes(), False
    content = packed.read_bytes()
    return (content, True) if compressed else (gzip.decompress(content), False)
