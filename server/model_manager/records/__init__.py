"""Predictions as data: sampled, bounded, sent elsewhere, and never in a request's way.

This is the room's door: the rest of the server imports from here alone.
"""

from model_manager.records.stream import RecordStream

__all__ = ["RecordStream"]
