"""What lies behind the JSON of a V2 body, taken tensor by tensor: by the fast path and by the reference alike."""

from model_manager.codecs.json_text import excerpt
from model_manager.codecs.parameters import BINARY_SIZE
from model_manager.errors import InvalidInput


class Tail:
    """What lies behind the JSON of a body: the bytes of its binary tensors, in the order of its inputs."""

    def __init__(self, raw: bytes | memoryview) -> None:
        self._raw = memoryview(raw)
        self._at = 0
        self.taken = 0

    def take(self, size: object, place: str) -> memoryview:
        """The bytes of the next tensor. Raises InvalidInput, which names `place`, where there are no so many."""
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidInput(f"{place}: {BINARY_SIZE}: expected bytes, a whole number from 0, got {excerpt(size)}")
        left = len(self._raw) - self._at
        if size > left:
            raise InvalidInput(
                f"{place}: {BINARY_SIZE} is {excerpt(size)}, but {left} bytes are left for it in the body"
            )
        self._at += size
        self.taken += 1
        return self._raw[self._at - size : self._at]

    def end(self) -> None:
        """Raise InvalidInput where bytes are left that no input takes."""
        left = len(self._raw) - self._at
        if left:
            raise InvalidInput(f"{left} bytes are left behind the binary tensors: no {BINARY_SIZE} speaks of them")
