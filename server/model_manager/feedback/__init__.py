"""How right answers were, by labels that come later: answers kept by request id, joined with labels, added up.

In the flow: answering (hands answers over) → **feedback**, on a thread of its own ← labels; → scrape and admin port. No
row of input is kept. This is the room's door: the rest of the server imports from here alone.
"""

from model_manager.feedback.kept import Kept
from model_manager.feedback.labels import STATUSES, Label, Status, better_of, read_labels
from model_manager.feedback.tallies import AccuracyTally, add_up_accuracy, families_of_accuracy, report_accuracy
from model_manager.feedback.truth import is_same, number_in
from model_manager.feedback.watching import Feedback

__all__ = [
    "STATUSES",
    "AccuracyTally",
    "Feedback",
    "Kept",
    "Label",
    "Status",
    "add_up_accuracy",
    "better_of",
    "families_of_accuracy",
    "is_same",
    "number_in",
    "read_labels",
    "report_accuracy",
]
