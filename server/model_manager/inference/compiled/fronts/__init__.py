"""Rows to the matrix that the last estimator of a pipeline is given."""
