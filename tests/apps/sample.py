"""A web app of the kind people write, with a path for each thing a deployment has to survive."""

import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name, _, value = self.path.strip("/").partition("/")
        if self.headers.get("Upgrade"):
            self.echo()
        elif name == "slow":
            print("slow begins", flush=True)
            time.sleep(float(value))
            self.answer(f"slow from {os.environ['PORT']}")
        elif name == "stream":
            self.stream(float(value))
        elif name == "env":
            self.answer(json.dumps(dict(os.environ)))
        elif name == "who":
            with open("/proc/self/status") as status:
                self.answer(json.dumps({"cwd": os.getcwd(), "uid": os.getuid(), "status": status.read()}))
        elif name == "die":
            os._exit(int(value))
        elif name == "status":
            self.answer("as asked", int(value))
        elif name == "leak":
            self.answer("leaking")
            self.wfile.flush()
            hoard = []
            while True:
                hoard.append(bytearray(os.urandom(1 << 20)))
        elif name == "fork":
            for _ in range(int(value)):
                subprocess.Popen(["sleep", "3601"], start_new_session=True)
            self.answer("forked")
        elif name == "say":
            print("x" * int(value), flush=True)
            self.answer("said")
        elif name == "big":
            self.answer("b" * int(value))
        else:
            self.answer(f"{os.environ['GITDEPLOY_RELEASE']} {os.environ['PORT']}")

    def do_POST(self):
        if self.path == "/refuse":
            self.answer("r" * 30_000, 413)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest())

    def answer(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, seconds):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.wfile.write(b"tick\n")
            time.sleep(0.05)
        self.wfile.write(b"end\n")

    def echo(self):
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
        )
        while data := self.connection.recv(65536):
            self.connection.sendall(data)
        self.connection.sendall(b"bye")
        self.close_connection = True

    def log_message(self, *words):
        pass


class UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "app", 0

    def get_request(self):
        return self.socket.accept()[0], ("app", 0)


def main():
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 512
    leaving = threading.Event()
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif "graceful" in sys.argv:
        ThreadingHTTPServer.daemon_threads = False
        signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    else:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=os._exit, args=(0,)).start())
    time.sleep(float(os.environ.get("SLOW_START", "0")))
    if "socket" in sys.argv:
        server = UnixServer(os.environ["SOCKET"], App)
    else:
        server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App)
    print("listening", flush=True)
    server.timeout = 0.05
    while not leaving.is_set():
        server.handle_request()
    server.timeout = 0
    server.socket.setblocking(False)
    while select.select([server.socket], [], [], 0)[0]:  # those who wait in the queue are not sent away
        server.handle_request()
    server.server_close()


main()
