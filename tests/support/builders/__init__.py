"""Packets, capture files, snapshots and screens that tests are made of."""
