"""Recipes of the servers, one file each."""
