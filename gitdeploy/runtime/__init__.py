"""Makes a release live: slots and pointers, the routing table, the edge. Needs no repository."""
