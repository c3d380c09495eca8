"""What contributions are counted in."""

from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["probability", "log-odds", "score", "value"]
"""Of a class: its probability, the logarithm of its odds, or another score. Of a number that is predicted: itself."""
