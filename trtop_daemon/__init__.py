"""Processes and sockets around the core; nothing is here yet."""
