"""A hub on loopback that serves one file, and can be made to behave badly."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """`content` is served. `breaks`: after how many bytes of an answer the connection breaks off, one per request.
    `statuses` come first, one per request. `asked`: each request's path and `Range`."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.breaks: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.redirect: str | None = None
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append((handler.path, wanted))
        if self.redirect:
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.end_headers()
            return
        if self.statuses:
            handler.send_response(self.statuses.pop(0))
            handler.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        size = len(self.content)
        if start and start >= size:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{size}")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(size - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        handler.end_headers()
        end = start + self.breaks.pop(0) if self.breaks else size
        handler.wfile.write(self.content[start:end])


@contextmanager
def serving(content: bytes) -> Iterator[Hub]:
    hub = Hub(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
