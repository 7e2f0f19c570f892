"""What a callback that cuts may be told to do when an epoch begins, and when training ends."""

import enum


class Move(enum.Enum):
    """One thing to do."""

    KEEP = "remember the network as it is, to go back to it"
    GO_BACK = "go back to the network that was kept"
    CUT = "remove units"
