"""What served when: the log of every change of state and of the wanted state, and who made it; and its queries.

In the flow: serving notes entries, on the event loop → writing (a thread of its own) → files → reading → queries, which
the admin port and `model-manager history` ask. This is the room's door: the rest of the server imports from here alone.
"""

from model_manager.ledger.entries import (
    Default,
    Ended,
    Good,
    Lineage,
    Minute,
    Moved,
    Wanted,
    WantedVersions,
    now,
)
from model_manager.ledger.history import Answered, Event, History, history_of
from model_manager.ledger.last_good import GoodState, LastGood
from model_manager.ledger.moment import Moment, VersionThen, WantedThen, moment_of
from model_manager.ledger.times import read_time
from model_manager.ledger.writing import Ledger

__all__ = [
    "Answered",
    "Default",
    "Ended",
    "Event",
    "Good",
    "GoodState",
    "History",
    "LastGood",
    "Ledger",
    "Lineage",
    "Minute",
    "Moment",
    "Moved",
    "VersionThen",
    "Wanted",
    "WantedThen",
    "WantedVersions",
    "history_of",
    "moment_of",
    "now",
    "read_time",
]
