"""Wanted state and bytes: what should be served, and where its artifacts are."""
