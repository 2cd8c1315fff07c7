"""Generated destinations with one ailment each, and its true name: seeded, at least 20 a cause.

``destinations`` gives them all, ``capture_of`` the packets of some. A cause is told by what happens
on the wire alone, in the words of the definitions' verdicts.
"""

from .causes import CAUSES, N_ROWS, Destination, capture_of, destinations

__all__ = ["CAUSES", "N_ROWS", "Destination", "capture_of", "destinations"]
