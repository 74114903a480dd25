"""An app whose database and files each say of which era they are: an answer that names two was given in between.

It keeps one connection and does not open another when it breaks, as many apps do; with a file `patient` beside it, it
does. With a file `slow` it takes so many seconds to start. A worker writes into database and files again and again,
and says for which release.
"""

import http.server
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.parse

URL = os.environ["DATABASE_URL"]
DATA = pathlib.Path(os.environ["GITDEPLOY_DATA"])
RELEASE = os.environ["GITDEPLOY_RELEASE"]
VERSION = pathlib.Path("version").read_text().strip()
END = "--end--"


class Database:
    def __init__(self):
        self.lock = threading.Lock()
        self.client = None

    def run(self, line):
        with self.lock:
            try:
                return self.say(line)
            except OSError:
                self.client = None
                if not pathlib.Path("patient").exists():
                    raise
                return self.say(line)

    def say(self, line):
        if self.client is None:
            self.client = subprocess.Popen(
                self.words(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        self.client.stdin.write(f"{line};\nSELECT '{END}';\n")
        self.client.stdin.flush()
        rows = []
        for row in self.client.stdout:
            if row.strip() == END:
                return rows
            rows.append(row.strip())
        raise OSError(self.client.stderr.read())

    def words(self):
        if URL.startswith("mysql"):
            one = urllib.parse.urlsplit(URL)
            where = [f"-h{one.hostname}", f"-P{one.port}", f"-u{one.username}", f"-p{one.password}"]
            return ["mariadb", "--no-defaults", "--unbuffered", "-NB", *where, one.path[1:]]
        return ["psql", URL, "-AtqX", "-v", "ON_ERROR_STOP=1"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/up":
            era = database.run("SELECT name FROM era")
            self.answer("up", 500 if era == ["broken"] else 200)
        elif self.path == "/writes":
            rows = database.run("SELECT id FROM writes ORDER BY id")
            files = sorted(one.name for one in (DATA / "files").glob("w[0-9]*"))
            self.answer(f"{len(rows)} rows, {'the same' if rows == files else f'not {len(files)}'} files")
        elif self.path == "/work":
            self.answer(*database.run("SELECT count(*) FROM work"))
        elif self.path == "/workers":
            self.answer(" ".join(sorted(database.run("SELECT DISTINCT made_by FROM work"))))
        else:
            self.answer(self.eras())

    def do_POST(self):
        kind, _, value = self.path[1:].partition("/")
        if kind == "era":
            with whole:
                database.run(f"UPDATE era SET name = '{value}'")
                (DATA / "files/era").write_text(value)
        else:
            (DATA / f"files/{value}").write_text(value)
            database.run(f"INSERT INTO writes VALUES ('{value}')")
        self.answer("kept")

    def eras(self):
        with whole:
            (era,) = database.run("SELECT name FROM era")
            return f"{VERSION} {era} {(DATA / 'files/era').read_text()}"

    def answer(self, text, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass


def work():
    number = 0
    while True:
        number += 1
        database.run(f"INSERT INTO work VALUES ('{RELEASE}', {number})")
        (DATA / f"files/work.{RELEASE}").write_text(str(number))
        time.sleep(0.02)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


database = Database()
whole = threading.Lock()
if sys.argv[1:] == ["migrate"]:
    text = "VARCHAR(80)"
    for line in (
        f"era (name {text})",
        f"writes (id {text} PRIMARY KEY)",
        f"work (made_by {text}, number INTEGER)",
    ):
        database.run(f"CREATE TABLE IF NOT EXISTS {line}")
    database.run("INSERT INTO era SELECT 'first' WHERE NOT EXISTS (SELECT 1 FROM era)")
    if not (DATA / "files/era").exists():
        (DATA / "files/era").write_text("first")
elif sys.argv[1:] == ["work"]:
    work()
else:
    if pathlib.Path("slow").exists():
        time.sleep(float(pathlib.Path("slow").read_text()))
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
