"""How far one connection has ended. Facts only: the connection draws the consequences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Ending:
    """What was seen of an ending, and what was counted of it already."""

    has_fin: bool = False
    has_rst: bool = False
    is_closed: bool = False
    # Closed for want of segments: the next one opens it again.
    is_idle: bool = False
    was_closed: bool = False
    # The server's FIN: behind it no request will be answered, holes before it apart.
    ends_requests: bool = False
    requests_ended: bool = False
    one_sided_decided: bool = False
    reuse_sampled: bool = False

    def resume(self) -> None:
        """A segment of an idle connection: it goes on."""
        if self.is_idle:
            self.is_idle = self.is_closed = False
