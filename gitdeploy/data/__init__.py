"""Databases and files of environments: captured at one instant, restored beside, compared, moved and swapped."""
