"""Remembers: the ledger, blobs, artifacts, signatures. Knows nothing of git."""
