"""The classic import path of ``TCPDumpFileCollector``."""

from __future__ import annotations

from trtop.classic.collector import TCPDumpFileCollector

__all__ = ["TCPDumpFileCollector"]
