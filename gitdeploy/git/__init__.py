"""Receives and reads: repositories, history, export, transport. Knows nothing of releases."""
