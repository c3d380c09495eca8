"""What an estimator takes and gives, found out by asking and trying."""
