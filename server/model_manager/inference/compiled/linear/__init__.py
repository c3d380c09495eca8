"""Linear models in numpy."""
