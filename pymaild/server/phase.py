"""What the server as a whole is doing."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Shown by `pymailctl status`."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINED = "drained"  # on request: takes no connections, and stays
    DRAINING = "draining"  # on its way out, sessions may end by themselves
    STOPPING = "stopping"  # on its way out, now
    RETIRING = "retiring"  # on its way out, another master has taken over


ENDING = (Phase.DRAINING, Phase.STOPPING)
LEAVING = (*ENDING, Phase.RETIRING)
