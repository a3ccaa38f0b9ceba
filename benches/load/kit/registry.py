"""The registry and its issuer: lets every login in after a while, and counts what it is asked."""

import base64
import http.client
import http.server
import json
import multiprocessing
import sys
import threading
import time

from .common import free_port, until


class Counts:
    """What was asked since the last reset, and when each user name came first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.users = {}
        self.reset()

    def reset(self):
        self.kinds, self.first, self.last = {}, None, None

    def add(self, kind, user):
        now = time.monotonic()
        with self.lock:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self.first, self.last = self.first or now, now
            if user:
                self.users.setdefault(user, now)

    def told(self, reset):
        with self.lock:
            told = {"kinds": dict(self.kinds), "first": self.first, "last": self.last}
            if reset:
                self.reset()
            return told

    def told_users(self):
        with self.lock:
            return dict(self.users)


class Handler(http.server.BaseHTTPRequestHandler):
    """Shows every manifest to a login and none to anybody else, and knows every token."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    latency = 0.0
    counts = Counts()

    def do_GET(self):
        # The kit itself asks.
        if self.path == "/kit/counts":
            return self.answer(200, self.counts.told(reset=False))
        if self.path == "/kit/reset":
            return self.answer(200, self.counts.told(reset=True))
        if self.path == "/kit/users":
            return self.answer(200, self.counts.told_users())
        authorization = self.headers.get("Authorization", "")
        basic = authorization.startswith("Basic ")
        user = base64.b64decode(authorization[6:]).decode().split(":")[0] if basic else ""
        if self.path.startswith("/token"):
            kind = "token" if basic else "anonymous token"
        elif self.path in ("/rate_limit", "/user"):
            kind = "issuer"
        else:
            kind = "manifest" if "/manifests/" in self.path else "ping"
        self.counts.add(kind, user)
        time.sleep(self.latency)
        realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="load"'
        if kind == "token":
            return self.answer(200, {"token": "opaque"})
        if kind == "anonymous token":
            # GitHub takes a password in Basic; nobody gets a token without one.
            return self.answer(401, {"errors": [{"code": "DENIED"}]})
        if kind == "issuer":
            core = {"limit": 5000, "remaining": 4999, "used": 1, "reset": 4070908800}
            return self.answer(200, {"login": "robot", "resources": {"core": core}}, {
                "X-OAuth-Scopes": "read:packages, repo",
                "GitHub-Authentication-Token-Expiration": "2099-01-01 00:00:00 UTC",
                "X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "4070908800",
            })
        if not authorization.startswith("Bearer "):
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": realm})
        if kind == "manifest":
            media_type = "application/vnd.oci.image.index.v1+json"
            body = {"schemaVersion": 2, "mediaType": media_type, "manifests": []}
            return self.answer(200, body, {"Content-Type": media_type})
        return self.answer(200, {})

    do_HEAD = do_GET

    def answer(self, status, body, headers=None):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(text)
            except (BrokenPipeError, ConnectionResetError):
                # The daemon was stopped in the middle of an exchange.
                self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request, client_address):
        # A daemon that ends resets its connections.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(port, latency):
    Handler.latency = latency / 1000
    Server(("127.0.0.1", port), Handler).serve_forever()


class Registry:
    def __init__(self, latency):
        self.port = free_port()
        self.process = multiprocessing.Process(target=serve, args=(self.port, latency), daemon=True)
        self.process.start()
        until("the registry", lambda: self.ask("counts") is not None)

    def ask(self, what):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", f"/kit/{what}")
        told = json.loads(connection.getresponse().read())
        connection.close()
        return told

    def reset(self):
        """What was asked since the last time."""
        return self.ask("reset")

    def stop(self):
        self.process.terminate()
        self.process.join()
