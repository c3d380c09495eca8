"""Faster equivalents of fitted estimators, each used only after it proved equal to scikit-learn.

In the flow: `compilation` (the way in) → `builders`: fronts before heads of the rooms linear and trees, or converted
ones → the room proof → `fastest`, which serves. `form` holds the words of all of them.
"""

import os

# ONNX Runtime reports usage to its makers unless it is told not to before its first import; a server tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
