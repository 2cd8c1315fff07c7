"""The soak: hours of capture time through two daemons to which something happens every minute.

One daemon replays a capture that is written into a pipe minute by minute, the other captures on a
real interface. Each minute has one fault; what it told and lost must be known to the packet, all
other numbers are the truth, and memory is flat. ``python -m soak --hours 6``, as root.
"""
