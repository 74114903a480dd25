"""The verbs, one module a noun: rights, lane, journal, event, then the packages below. Knows no HTTP, no click."""
