"""Faster equivalents of fitted estimators, each used only after it proved equal to scikit-learn."""

import os

# ONNX Runtime reports usage to its makers unless it is told not to before its first import; a server tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
