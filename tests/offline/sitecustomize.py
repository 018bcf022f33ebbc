"""Every Python process that starts with this folder in PYTHONPATH tells in the file $OFFLINE whom it would talk to.

The interpreter itself reports each connection, so that no library gets past it; those within this machine are not told.
"""

import os
import socket
import sys
from pathlib import Path

HERE = {None, "", b"", "localhost", "0.0.0.0", "::", "::1", socket.gethostname()}


def is_here(host) -> bool:
    """Whether that is this machine."""
    return host in HERE or str(host).startswith("127.")


def watch(event: str, given: tuple) -> None:
    """Note, and refuse, what leaves the machine: connections, packets and questions for an address."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        outside = isinstance(given[1], tuple) and not is_here(given[1][0])
    else:
        outside = event in ("socket.getaddrinfo", "socket.gethostbyname") and not is_here(given[0])
    if outside:
        with Path(os.environ["OFFLINE"]).open("a") as file:
            file.write(f"{event} {given} {sys.argv[:3]}\n")
        raise PermissionError("a test allows no network")


if "OFFLINE" in os.environ:
    sys.addaudithook(watch)
