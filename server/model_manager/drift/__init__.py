"""Whether what is asked and answered now still looks like the training data: counts by bin, and no rows.

In the flow: batcher (hands sampled rows over) → **drift**, on a thread of its own → scrape and admin port. This is the
room's door: the rest of the server imports from here alone.
"""

from model_manager.drift.baseline import MIN_COUNT, baseline_of, histogram
from model_manager.drift.counting import NOT_COUNTED, Counting, Taking
from model_manager.drift.divergence import MIN_ROWS, THRESHOLD
from model_manager.drift.tallies import Tally, add_up, families_of, is_of_drift, report
from model_manager.drift.watching import Drift

__all__ = [
    "MIN_COUNT",
    "MIN_ROWS",
    "NOT_COUNTED",
    "THRESHOLD",
    "Counting",
    "Drift",
    "Taking",
    "Tally",
    "add_up",
    "baseline_of",
    "families_of",
    "histogram",
    "is_of_drift",
    "report",
]
