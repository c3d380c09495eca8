"""Estimators of every kind, each with data to fit it on: what forms are held to scikit-learn with."""
