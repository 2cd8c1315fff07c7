"""The classic import path of ``TCPDumpFileCollector``."""

from __future__ import annotations

from trtop.collector import TCPDumpFileCollector

__all__ = ["TCPDumpFileCollector"]
