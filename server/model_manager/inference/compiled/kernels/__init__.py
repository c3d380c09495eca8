"""Heads that compare rows with rows of the training data: support vectors, nearest neighbours."""
