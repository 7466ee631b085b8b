"""Whose runs: several tenants of one engine."""
