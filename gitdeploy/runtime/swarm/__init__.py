"""Runs releases on several machines, by Docker Swarm: the engine spreads, heals and takes back; this asks it to.

engine.py    the engine's managers, whichever of them answers
wanted.py    what a program of a release is for the engine: a service, with everything that it is made of
health.py    the command by which a container finds out how its program is
service.py   a service brought to what is wanted, and waited for: the truth is what the engine says of its update
containers.py  which copy a container is, and why it ended; said.py what containers say
job.py       a command run once
disk.py      how much room nodes have: a job on all of them
edge.py      what visitors reach: Caddy on every node, which finds a release's containers by asking DNS
registry.py  where images lie; provenance.py what is signed about them
"""
