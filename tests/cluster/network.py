"""A separate network for tests: servers use their real ports and reach nothing outside."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x41
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def isolated_network() -> Iterator[None]:
    """Move this thread and its child processes into a network with only a loopback interface (needs root)."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _call(_LIBC.unshare(_CLONE_NEWNET))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP_RUNNING))
        yield
    finally:
        _call(_LIBC.setns(before, _CLONE_NEWNET))
        os.close(before)


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
