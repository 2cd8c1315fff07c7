"""Mutation testing: do the tests notice a small mistake in a kernel? ``make mutants``."""
