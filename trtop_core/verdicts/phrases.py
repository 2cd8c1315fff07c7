"""Numbers in sentences: counts with their nouns, shares, durations. Pure."""

from __future__ import annotations

from trtop_core.records import NS_PER_MS, NS_PER_S


def several(n: int, noun: str) -> str:
    """``1 stream``, ``1,300 streams``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def of_whole(cases: int, whole: int, noun: str) -> str:
    """``3 of 17 attempts``; where some began before: ``40 connections (3 began in this time)``."""
    if cases <= whole:
        return f"{cases:,} of {several(whole, noun)}"
    if not whole:
        return several(cases, f"earlier {noun}")
    return f"{several(cases, noun)} ({whole:,} began in this time)"


def share(part: int, whole: int) -> str:
    """A part of a whole in percent, at most all of it; nothing of nothing is 0."""
    return percent(part / max(whole, part, 1))


def percent(fraction: float) -> str:
    """``4.1 %``, ``0.052 %``, ``37 %``."""
    return f"{100 * fraction:.2g} %" if fraction < 0.1 else f"{100 * fraction:.0f} %"


def duration(ns: int) -> str:
    """``870 µs``, ``23.4 ms``, ``1.2 s``."""
    if ns < NS_PER_MS:
        return f"{ns / 1000:.3g} µs"
    if ns < NS_PER_S:
        return f"{ns / NS_PER_MS:.3g} ms"
    return f"{ns / NS_PER_S:.3g} s"
