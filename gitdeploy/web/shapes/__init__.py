"""What the API answers with, field by field. mypy holds `views` to these shapes, FastAPI every answer, and
`/openapi.json` tells them. Times are UTC ISO 8601, sizes bytes, durations seconds.
"""
