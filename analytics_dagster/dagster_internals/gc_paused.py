"""How Python keeps house in a process that loads the location."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_BETWEEN_LOOKS = 100_000


@contextmanager
def mostly_kept() -> Iterator[None]:
    """Make what is kept for the life of the process, without looking again and again for what could be let go.

    Definitions are hundreds of thousands of objects, none of them garbage; looking at all of them each time that their
    number has grown by a quarter takes a fifth of the time of a large location's load. So nothing is looked at
    meanwhile, what was made is never looked at again, and from then on (Dagster goes on with jobs and snapshots)
    there is a look every hundred thousand new objects, not every seven hundred.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
            gc.enable()
