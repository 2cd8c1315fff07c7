"""The interactive screen: one package that takes snapshots and keys, and draws.

Rooms: ``source`` (where snapshots come from), ``state`` and ``actions`` (what the user looks at),
``shape`` (rows filtered, named, counted from a reset on), ``draw`` and ``detail`` (pure functions
to lines with roles), ``terminal`` (the only room that imports curses), ``session`` (the loop).
Never decodes, counts or merges packets itself.
"""
