"""Recipes of the clients, one file each."""
