"""The queue of tasks for the index role, see Shared."""

from __future__ import annotations

import socket

from pymaild.mail.helpers import Task


def put(queue: socket.socket, task: Task) -> bool:
    """Put a task into the queue; false where there is no room."""
    try:
        queue.send(task.encode())
    except OSError:
        return False
    return True
