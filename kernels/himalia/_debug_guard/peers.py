"""Whether the other end of a TCP connection on this machine belongs to this account."""

import os
import socket

TABLES = {socket.AF_INET: "/proc/net/tcp", socket.AF_INET6: "/proc/net/tcp6"}
UID = 7
"""Column of the owner in the kernel's table (proc(5))."""


def of_this_account(connection: socket.socket) -> bool:
    """Look the other end up in the system's table of sockets; true where there is no such table (not Linux)."""
    table = TABLES.get(connection.family)
    if table is None or not os.path.exists(table):  # noqa: PTH110 (also read where nothing of ours is)
        return True
    there, here = connection.getpeername()[1], connection.getsockname()[1]
    with open(table, encoding="ascii") as file:  # noqa: PTH123
        for line in file.readlines()[1:]:
            fields = line.split()
            ports = [int(fields[column].rpartition(":")[2], 16) for column in (1, 2)]
            if ports == [there, here]:
                return int(fields[UID]) == os.getuid()
    return False
