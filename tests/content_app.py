"""An app with content and with what visitors write, whose database a test asks over HTTP."""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

URL = os.environ["DATABASE_URL"]
TABLES = (
    "users (id INTEGER PRIMARY KEY, name VARCHAR(80), email VARCHAR(80))",
    "posts (id INTEGER PRIMARY KEY, author INTEGER, title VARCHAR(80), body TEXT, "
    "FOREIGN KEY (author) REFERENCES users(id))",
    "forms (id INTEGER PRIMARY KEY, title VARCHAR(80))",
    "form_submissions (id INTEGER PRIMARY KEY, form INTEGER, said VARCHAR(80))",
    "sessions (id VARCHAR(40) PRIMARY KEY)",
)


def run(*lines):
    if URL.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(URL.removeprefix("sqlite:///"), timeout=30) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            rows = [connection.execute(line).fetchall() for line in lines][-1]
        return ["|".join("" if value is None else str(value) for value in row) for row in rows]
    client, text = ["psql", URL, "-AtqX", "-v", "ON_ERROR_STOP=1"], ";\n".join(lines)
    if URL.startswith("mysql"):
        one = urllib.parse.urlsplit(URL)
        where = [f"-h{one.hostname}", f"-P{one.port}", f"-u{one.username}", f"-p{one.password}", one.path[1:]]
        client = ["mariadb", "--no-defaults", "-NB", "--raw", *where]
    done = subprocess.run(client, input=text, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr)
    return [line.replace("\t", "|").replace("NULL", "") for line in done.stdout.splitlines()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, "up")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.answer(200, json.dumps(self.act(**asked)))
        except Exception as error:
            self.answer(500, repr(error))

    def act(self, sql=(), write=(), link=(), remove=(), read=False):
        for path, text in write:
            pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(path).write_text(text)
        for path, target in link:
            pathlib.Path(path).symlink_to(target)
        for path in remove:
            pathlib.Path(path).unlink()
        if read:
            found = (
                one for one in pathlib.Path("uploads").rglob("*") if one.is_file() and not one.is_symlink()
            )
            return {str(one): one.read_text() for one in found}
        return run(*sql) if sql else []

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass


if sys.argv[1:] == ["migrate"]:
    for table in TABLES:
        run(f"CREATE TABLE IF NOT EXISTS {table}")
else:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
