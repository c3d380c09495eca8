"""Heads of trees, forests and boosting, as one ONNX TreeEnsemble.

`forests`, `boosting` and `lightgbm` read fitted estimators; all add trees up by `tree_sums`, which `tree_model` lays out.
"""
