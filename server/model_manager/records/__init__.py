"""Predictions as data: sampled, bounded, sent elsewhere."""
