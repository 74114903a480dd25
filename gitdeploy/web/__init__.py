"""The doors that programs and people knock at: git over HTTP, git's hooks, the API. They parse, call a verb of
`service`, and present what it returned.
"""
