"""Forms are held to scikit-learn's own answers, on ordinary rows and on every edge.

In the flow: `scales` (where numbers lie) → `rows` → `trials` (what scikit-learn answers) → `verdict`.
"""
