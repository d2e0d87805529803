"""Changing files that must not be lost: lock, plan, stage, journal, commit, swap, verify, resume."""
