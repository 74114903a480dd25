"""A guest book: notes in a database, pictures in a folder. What a test pushes as an app."""

import http.server
import os
import pathlib
import subprocess
import sys
import urllib.parse

URL = os.environ["DATABASE_URL"]
COLUMNS = os.environ.get("COLUMNS", "id INTEGER PRIMARY KEY, text VARCHAR(200)")


def run(line, *values):
    if URL.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(URL.removeprefix("sqlite:///"), timeout=20) as connection:
            return connection.execute(line.replace("%s", "?"), values).fetchall()
    for value in values:
        line = line.replace("%s", "'" + value.replace("'", "''") + "'", 1)
    client = ["psql", URL, "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", line]
    if URL.startswith("mysql"):
        one = urllib.parse.urlsplit(URL)
        where = [f"-h{one.hostname}", f"-P{one.port}", f"-u{one.username}", f"-p{one.password}", one.path[1:]]
        client = ["mariadb", "--no-defaults", "-NB", *where, "-e", line]
    said = subprocess.run(client, check=True, capture_output=True, text=True).stdout
    return [(row,) for row in said.splitlines()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        notes = [text for (text,) in run("SELECT text FROM notes ORDER BY id")]
        files = sorted(one.name for one in pathlib.Path("uploads").iterdir())
        self.answer(f"{RELEASE}{','.join(notes)} {','.join(files)}")

    def do_POST(self):
        kind, _, text = urllib.parse.unquote(self.path[1:]).partition("/")
        if kind == "note":
            run("INSERT INTO notes (id, text) SELECT coalesce(max(id), 0) + 1, %s FROM notes", text)
        else:
            pathlib.Path("uploads", text).write_text(text)
        self.answer("kept")

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass


RELEASE = pathlib.Path("version").read_text().strip() + " "
if sys.argv[1:] == ["migrate"]:
    run(f"CREATE TABLE IF NOT EXISTS notes ({COLUMNS})")
    for line in pathlib.Path("migrations").read_text().splitlines():
        run(line)
else:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
