"""Heads of trees, forests and boosting, as one ONNX TreeEnsemble.

`forests`, `boosting` and `lightgbm` read fitted estimators; they add trees up by `tree_sums`, laid out by `tree_model`.
"""
