"""Times as people write them in questions to the ledger → moments."""

from datetime import UTC, datetime


def read_time(text: str) -> datetime:
    """Read 2026-11-02T15:00 (UTC where it names no zone) or seconds since 1970. Raises ValueError, which says so."""
    try:
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except ValueError:
            time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not a time such as 2026-11-02T15:00Z or 1793631600") from None
