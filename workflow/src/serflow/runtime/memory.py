"""What is told to the allocator of the C library; where that is not glibc, nothing happens."""

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> None:
    """Let freed arrays be used again, in place of giving them back to the system and asking for others.

    A step allocates the same few megabytes for each batch of clips. To have the system clear their pages each time
    cost as much as the features themselves.
    """
    _tell(_TRIM_THRESHOLD, 128 << 20)
    _tell(_MMAP_THRESHOLD, 32 << 20)


def _tell(what: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(what, value)
