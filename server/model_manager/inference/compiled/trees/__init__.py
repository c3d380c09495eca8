"""Heads of trees, forests and boosting, as one ONNX TreeEnsemble.

`forests` and `boosting` read fitted estimators; both add trees up by `tree_sums`, which are laid out by `tree_model`.
"""
