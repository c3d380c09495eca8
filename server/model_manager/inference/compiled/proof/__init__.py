"""Held to scikit-learn's own answers, on ordinary rows and on every edge."""
