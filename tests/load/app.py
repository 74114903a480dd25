"""An app whose every answer names the release it came from, in each of the ways that outlive a moment."""

import hashlib
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARK = f"release {os.environ['GITDEPLOY_RELEASE']}\n".encode()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade"):
            self.talk()
        elif self.path == "/long":
            self.download()
        else:
            self.answer(MARK)

    def do_POST(self):
        self.answer(
            MARK + hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode()
        )

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def download(self):
        """Two seconds long, of a known length: whoever misses the end can tell."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(MARK) * 2000))
        self.end_headers()
        for _ in range(20):
            self.wfile.write(MARK * 100)
            time.sleep(0.1)

    def talk(self):
        """An upgraded connection: each line that comes is answered by the mark, until the visitor leaves."""
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n"
        )
        while self.connection.recv(1024):
            self.connection.sendall(MARK)
        self.close_connection = True

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # what is under way is finished
    request_queue_size = 512


server = Server(("127.0.0.1", int(os.environ["PORT"])), App)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
server.server_close()
sys.exit(0)
