"""Capture files and packets, read plainly."""
