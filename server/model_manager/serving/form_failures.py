"""A compiled form that fails while its version serves: named in the log, and off the event loop once it is given up.

In the flow: batcher → predictor, whose form raised → **here**, told of the first failure and of the last that is borne.
"""

import logging

from model_manager.inference.compiled.fastest import FormFailure
from model_manager.inference.cost import NOTHING_INLINE
from model_manager.serving.servable import Servable

logger = logging.getLogger(__name__)


def tell_failure(servable: Servable, failure: FormFailure) -> None:
    """Log a failure and its cause. Called from whichever thread predicts."""
    id, form = servable.id, failure.form
    fields = {"model_name": id.model, "model_version": id.version}
    cause = type(failure.error).__name__  # what it says may quote the row
    if not failure.given_up:
        logger.warning("%s: its form %s failed, another answered: %s", id, form, cause, extra=fields)
        return
    message = "%s: its form %s failed %d times and is not used any more: %s; load the version again to use it"
    logger.warning(message, id, form, failure.times, cause, extra=fields)
    # What may be computed on the loop was measured with that form.
    servable.batcher.use(servable.predictor.predict, inline=NOTHING_INLINE)
