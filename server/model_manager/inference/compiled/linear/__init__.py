"""Heads of linear models, in numpy."""
