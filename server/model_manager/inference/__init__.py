"""Arrays → arrays: the only room that knows scikit-learn and joblib."""
