# SPDX-License-Identifier: MIT
"""A real nginx on loopback: FOLDER/www at full speed, on a second port so many MiB a second for a connection, and on a
third by https, with a certificate that only FOLDER/ca.pem vouches for.

    with Nginx(folder, limit=8) as nginx:
        subprocess.run(["curl", f"{nginx.limited_url}/file"])

nginx.requests() is its log so far, unless that is log="off": pairs of the status and the Range header ("-" where there was none).
"""

import os
import pathlib
import shutil
import socket
import subprocess
import time

from piagent import free_port

CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr crit;
events {{ }}
http {{
  log_format short '$status $http_range';
  access_log {log};
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  sendfile on;
  server {{ listen 127.0.0.1:{fast}; root {folder}/www; }}
  server {{ listen 127.0.0.1:{limited}; root {folder}/www; limit_rate {limit}m; }}
  server {{
    listen 127.0.0.1:{tls} ssl; root {folder}/www;
    ssl_certificate {folder}/ca.pem; ssl_certificate_key {folder}/ca.key;
  }}
}}
"""


def program():
    return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


class Nginx:
    def __init__(self, folder, limit, log=""):
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)  # nginx's worker may be another user
        self.fast, self.limited, self.tls = (free_port() for _ in range(3))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem"], check=True, stderr=subprocess.DEVNULL)
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, fast=self.fast, limited=self.limited, tls=self.tls, limit=limit,
                                        log=log or f"{folder}/access.log short"))
        if not program():
            raise RuntimeError("nginx is not installed: scripts/packages test")
        self.process = subprocess.Popen([program(), "-c", config, "-p", folder, "-e", "stderr"])
        for port in (self.fast, self.limited, self.tls):
            self.wait(port)

    @property
    def fast_url(self):
        return f"http://127.0.0.1:{self.fast}"

    @property
    def limited_url(self):
        return f"http://127.0.0.1:{self.limited}"

    @property
    def tls_url(self):
        return f"https://127.0.0.1:{self.tls}"

    def wait(self, port):
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("nginx does not start")

    def requests(self):
        return [tuple(line.split(" ", 1)) for line in (self.folder / "access.log").read_text().splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
