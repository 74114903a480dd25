"""What stands between visitors and `live/`: the embedded edge, the driver for Caddy, and who starts them.

driver.py       ensure, status, stop: the edge's processes outlive the daemon that started them
embedded        __main__.py (the process), app.py, site.py, answer.py, http_rules.py, pages.py
caddy.py        one constant configuration for Debian's Caddy
"""
