"""Releases beyond this machine: as images in a registry, run by Docker Swarm."""
