"""A table → a fitted estimator and what it is worth, for people who have data and no model yet. Knows scikit-learn."""
