"""A compiled form that fails while its version serves: named in the log, and off the event loop once it is given up.

In the flow: batcher → predictor, whose form raised → **here**, told of the first failure and of the last that is borne.
"""

import logging
from collections.abc import Callable
from weakref import ref

from model_manager.inference.compiled.fastest import FormFailure
from model_manager.inference.cost import NOTHING_INLINE
from model_manager.serving.servable import Servable

logger = logging.getLogger(__name__)


def failures_told_of(servable: Servable) -> Callable[[FormFailure], None]:
    """What a predictor of this servable calls when one of its forms fails; for whichever thread predicts.

    It does not hold the servable, whose predictor holds it: a version that was unloaded is gone at once, model and all,
    and not only when the garbage collector finds the circle.
    """
    known = ref(servable)

    def tell(failure: FormFailure) -> None:
        there = known()
        if there is not None:
            _tell(there, failure)

    return tell


def _tell(servable: Servable, failure: FormFailure) -> None:
    id, form = servable.id, failure.form
    fields = {"model_name": id.model, "model_version": id.version}
    cause = type(failure.error).__name__  # what it says may quote the row
    if not failure.given_up:
        logger.warning("%s: its form %s failed, another answered: %s", id, form, cause, extra=fields)
        return
    message = "%s: its form %s failed %d times and is not used any more: %s; load the version again to use it"
    logger.warning(message, id, form, failure.times, cause, extra=fields)
    # What may be computed on the loop was measured with that form.
    servable.use(servable.predictor, servable.report, inline=NOTHING_INLINE)
