"""``make_recording``: what a page shows besides a snapshot, by rows of that snapshot.

Takes the recorder of an engine, and who names its rows; nothing is worked out before a page asks.
"""

from __future__ import annotations

from trtop.names.engine_factory import namer_of
from trtop.names.places import places_in
from trtop.recording.recorder import TimelineRecorder
from trtop.reporters.html_page.recorded import SLOW_PER_DESTINATION, Recorded, Recording
from trtop_core.engine import Engine
from trtop_core.slot_record import no_slots
from trtop_core.snapshot import Snapshot


def make_recording(engine: Engine, recorder: TimelineRecorder | None) -> Recording:
    """What a page asks for.

    Args:
        engine: counts.
        recorder: feeds it; None: nobody kept what came when.
    """

    def recorded(snapshot: Snapshot) -> Recorded:
        timeline = no_slots(engine.progress().keys) if recorder is None else recorder.timeline()
        places = places_in(snapshot, timeline.keys, namer_of(engine))
        return Recorded(timeline, engine.slow_connections(SLOW_PER_DESTINATION), places)

    return recorded
