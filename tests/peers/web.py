"""A small HTTP server of somebody else's: it remembers what it was asked, and answers as the test says."""
import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .process import PATIENCE


@dataclass
class Asked:
    method: str
    target: str
    headers: dict  # names in lower case
    body: bytes

    def __getitem__(self, name):
        return self.headers.get(name.lower())


class Web:
    """answer(asked) -> (status, headers, body), or a status alone.  .asked() waits for the next request."""

    def __init__(self, answer=lambda asked: 200, context=None):
        self.answer = answer
        self.requests = queue.Queue()
        self.ended = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}, body)
                answer = web.answer(asked)
                web.requests.put(asked)
                status, headers, content = (answer, {}, b"") if isinstance(answer, int) else answer
                self.send_response(status)
                streams = not isinstance(content, (bytes, str))
                for key, value in headers.items():
                    self.send_header(key, value)
                if not streams:
                    content = content.encode() if isinstance(content, str) else content
                    if status not in (204, 304):
                        self.send_header("Content-Length", str(len(content)))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
                if streams:
                    self.close_connection = True
                    for piece in content:
                        self.wfile.write(piece.encode())
                        self.wfile.flush()
                elif self.command != "HEAD" and status not in (204, 304):
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = handle_one

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                pass  # the bridge went away: that is a test's business

        self.server = Server(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def asked(self):
        return self.requests.get(timeout=PATIENCE)

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
