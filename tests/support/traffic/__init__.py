"""Connections and whole captures that tests feed to engines."""
