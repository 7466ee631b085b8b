"""Runs that start at their times."""
