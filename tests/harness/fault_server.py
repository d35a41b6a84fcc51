# SPDX-License-Identifier: MIT
"""A web server that goes wrong in one way, for one file. A client must survive it.

    with FaultServer(data, "stall") as server:
        subprocess.run([piagent, "image", "fetch", server.url, "--sha256", ...])

A fault applies to requests for the file until `times` of them have had it (default: all). `requests` holds the
Range header of each request, None where there was none; `conditions` the If-None-Match or If-Modified-Since of those that had one.
"""

import functools
import http.server
import sys
import threading

CHUNK = 1 << 16


class FaultServer:
    def __init__(self, data, fault="", times=None):
        self.data, self.fault, self.left = data, fault, times
        self.requests, self.conditions = [], []
        self.etag, self.last_modified = '"one"', None
        self.lock = threading.Lock()
        self.stopping, self.whole_sent = threading.Event(), threading.Event()
        self.range_asked, self.whole_broken = threading.Event(), threading.Event()
        self.server = _Server(("127.0.0.1", 0), functools.partial(_Handler, self))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/disk.qcow2"

    def take_fault(self):
        with self.lock:
            if self.left is None:
                return self.fault
            self.left -= 1
            return self.fault if self.left >= 0 else ""

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, faulty, *args):
        self.faulty = faulty
        super().__init__(*args)

    def log_message(self, *_):
        pass

    def span(self):
        """First and last byte asked for; None for all of it."""
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return None
        first, _, last = asked[len("bytes="):].partition("-")
        size = len(self.faulty.data)
        return int(first), min(int(last or size), size - 1)

    def do_GET(self):
        self.faulty.requests.append(self.headers.get("Range"))
        condition = self.headers.get("If-None-Match") or self.headers.get("If-Modified-Since")
        if condition:
            self.faulty.conditions.append(condition)
        if condition and condition in (self.faulty.etag, self.faulty.last_modified):
            self.send_response(304)
            self.end_headers()
            return
        fault = self.faulty.take_fault()
        special = getattr(self, f"do_{fault.replace('-', '_')}", None)
        if fault.isdigit():
            self.send_error(int(fault))
        elif special:
            special()
        else:
            self.send_object(fault)

    def do_busy(self):
        self.send_response(503)
        self.send_header("Retry-After", "90")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_no_length(self):
        """The end of the connection is the end of the object."""
        self.send_response(200)
        self.send_header("ETag", '"one"')
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.faulty.data)
        self.close_connection = True

    def do_redirect_loop(self):
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_redirect_to_file(self):
        self.send_response(302)
        self.send_header("Location", "file:///etc/passwd")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_headers(self):
        """Headers without end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.faulty.stopping.is_set():
            self.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")

    def do_silence(self):
        self.faulty.stopping.wait()
        self.close_connection = True

    def do_empty(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_object(self, fault):
        """"slow-" before a fault: 4 MiB a second for a connection, and the fault for ranges."""
        data, span = self.faulty.data, self.span()
        slow = fault.startswith("slow")
        fault = fault.removeprefix("slow").removeprefix("-")
        if fault == "waits" and span:  # as a server that has one connection at a time, and no ranges
            self.faulty.whole_sent.wait(60)
            span = None
        if fault == "breaks" and span:  # the connection that sends all of it breaks before the first range is answered
            self.faulty.range_asked.set()
            self.faulty.whole_broken.wait(60)
            self.faulty.stopping.wait(0.5)
        if fault == "refuses" and span:
            self.send_error(503)
            return
        etag = '"two"' if fault == "other-object" else self.faulty.etag
        if fault == "changes" and span and span[0]:
            data, etag = bytes(len(data)), '"changed"'
        if span and (fault == "no-ranges" or self.headers.get("If-Range", etag) != etag):
            span = None
        first, last = span or (0, len(data) - 1)
        if first > last:
            self.send_error(416)
            return
        self.send_response(206 if span else 200)
        if span:
            lie = 1 if fault == "wrong-range" else 0
            total = len(data) + (1 if fault == "wrong-total" else 0)
            self.send_header("Content-Range", f"bytes {first + lie}-{last}/{total}")
        if fault != "bare" and etag:
            self.send_header("ETag", etag)
        if self.faulty.last_modified:
            self.send_header("Last-Modified", self.faulty.last_modified)
        self.send_header("Content-Length", str(last - first + 1 + (5 if fault == "longer" else 0)))
        self.end_headers()
        body = data[first:last + 1]
        if fault == "wrong":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault in ("truncate", "stall", "drip", "bare"):
            body = body[:len(body) // 2]
        for at in range(0, len(body), CHUNK):
            self.wfile.write(body[at:at + CHUNK])
            if at + CHUNK >= len(data):
                self.faulty.whole_sent.set()
            if slow and self.faulty.stopping.wait(CHUNK / (4 << 20)):
                break
            if fault == "breaks" and not span and self.faulty.range_asked.is_set():
                self.close_connection = True
                self.faulty.whole_broken.set()
                break
        if fault == "stall":
            self.faulty.stopping.wait()
        while fault == "drip" and not self.faulty.stopping.wait(0.2):
            self.wfile.write(b"x")
        if fault in ("truncate", "stall", "drip", "bare", "longer"):
            self.close_connection = True
