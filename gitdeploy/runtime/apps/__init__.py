"""Runs the programs of a release: one keeper process for each slot, which outlives the daemon.

driver.py    the front: start, wait_healthy, status, scale, run, drain, tail; with asking.py and waiting.py
keeper.py    the keeper's process; order.py is what it is told, control.py how it is spoken to
unit.py      how a keeper is started where systemd runs: a unit of its own
copies.py    one copy of a program: started, watched, started again, stopped; once.py a command run once
relay.py     from the slot's web.sock to the copies of `web`; splice.py joins two connections, reach.py finds the app
family.py    every process of a copy, however it forks; ports.py its port; launch.py its command
logs.py      what it says, line by line; record.py what the keeper writes down; place.py its files
"""
