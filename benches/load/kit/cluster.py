"""etcd and one or two kube-apiservers, with a log of what the daemon asks them."""

import concurrent.futures
import http.client
import json
import ssl
import subprocess
import sys
import threading
import time

from .common import free_port, say, until

ADMIN, DAEMON, BARE = (f"{name}-token-of-the-load-kit" for name in ("admin", "daemon", "bare"))
CLIENTS = 8
# One entry for a request of the daemon, none for anybody else's.
AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
         "rules": [{"level": "Metadata", "users": ["daemon"]}, {"level": "None"}]}


class Server:
    """One kube-apiserver."""

    def __init__(self, cluster, number):
        self.cluster, self.number, self.port, self.process = cluster, number, free_port(), None
        self.audit = cluster.folder / f"audit-{number}.log"

    def start(self):
        folder, programs = self.cluster.folder, self.cluster.programs
        log = (folder / f"kube-apiserver-{self.number}.log").open("a")
        self.process = subprocess.Popen([
            programs["KUBE_APISERVER"], f"--etcd-servers={self.cluster.etcd}", f"--secure-port={self.port}",
            "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certs'}", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}", f"--service-account-signing-key-file={folder / 'sa.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none", f"--audit-policy-file={folder / 'audit.json'}", f"--audit-log-path={self.audit}",
            "--max-requests-inflight=1000", "--max-mutating-requests-inflight=1000"], stdout=log, stderr=log)
        until("kube-apiserver", lambda: self.cluster.request("GET", "/readyz", port=self.port)[0] == 200)

    def stop(self):
        """As a rollout does it: asked to, and killed where it takes its time."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu(self):
        return time.clock_gettime((~self.process.pid << 3) | 2)


class Cluster:
    def __init__(self, folder, programs):
        self.folder, self.programs, self.local = folder, programs, threading.local()
        self.etcd, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        log = (folder / "etcd.log").open("w")
        self.etcd_process = subprocess.Popen([
            programs["ETCD"], "--data-dir", folder / "etcd", "--listen-client-urls", self.etcd, "--advertise-client-urls", self.etcd,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync", "--quota-backend-bytes", str(8 << 30)], stdout=log, stderr=log)
        key, public = folder / "sa.key", folder / "sa.pub"
        for command in (["genrsa", "-out", key, "2048"], ["rsa", "-in", key, "-pubout", "-out", public]):
            subprocess.run([programs["OPENSSL"], *command], check=True, capture_output=True)
        # The daemon is nobody's master: what it may is looked up as in any cluster.
        users = {ADMIN: ("admin", "system:masters"), DAEMON: ("daemon", "daemons"), BARE: ("bare", "system:masters")}
        (folder / "tokens.csv").write_text("".join(f'{token},{name},{name},"{group}"\n' for token, (name, group) in users.items()))
        (folder / "audit.json").write_text(json.dumps(AUDIT))
        self.servers = [Server(self, 0)]
        self.servers[0].start()
        rbac, name = "rbac.authorization.k8s.io", {"name": "daemon"}
        self.create(f"/apis/{rbac}/v1/clusterroles", {
            "metadata": name, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch", "create", "patch"]}]})
        self.create(f"/apis/{rbac}/v1/clusterrolebindings", {
            "metadata": name, "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **name},
            "subjects": [{"apiGroup": rbac, "kind": "User", **name}]})

    def second(self):
        """A second kube-apiserver over the same etcd."""
        self.servers.append(Server(self, len(self.servers)))
        self.servers[-1].start()
        return self.servers[-1]

    @property
    def port(self):
        return self.servers[0].port

    def request(self, method, path, body=None, token=ADMIN, port=None):
        """Status and text of an answer. A connection that was idle for long is closed by then, so a second one is tried."""
        try:
            return self.request_once(method, path, body, token, port or self.port)
        except ConnectionRefusedError:
            raise
        except (OSError, http.client.HTTPException):
            return self.request_once(method, path, body, token, port or self.port)

    def request_once(self, method, path, body, token, port):
        connections = self.local.__dict__.setdefault("connections", {})
        connection = connections.get(port)
        if connection is None:
            # Our own server of a minute's life on the loopback address.
            context = ssl._create_unverified_context()
            connection = connections[port] = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connections.pop(port).close()
            raise

    def create(self, path, body):
        for attempt in range(20):
            status, _ = self.request("POST", path, body)
            if status in (201, 409):
                return
            # A new kind of object is served some seconds after its definition.
            if status not in (404, 429, 500, 503) or attempt == 19:
                sys.exit(f"load: POST {path}: {status}")
            time.sleep(0.5)

    def create_all(self, what, requests):
        begun, count = time.monotonic(), 0
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            for _ in pool.map(lambda request: self.create(*request), requests):
                count += 1
        say(f"{count} {what} in {time.monotonic() - begun:.0f} s")

    def kubeconfig(self, port):
        """For the daemon, through the relay."""
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "load",
            "contexts": [{"name": "load", "context": {"cluster": "load", "user": "daemon"}}],
            "clusters": [{"name": "load", "cluster": {
                "server": f"https://127.0.0.1:{port}", "certificate-authority": str(self.folder / "certs/apiserver.crt")}}],
            "users": [{"name": "daemon", "user": {"token": DAEMON}}]}))
        return path

    def marks(self):
        """Where the logs of requests end now."""
        return {server.audit: server.audit.stat().st_size if server.audit.exists() else 0 for server in self.servers}

    def asked_since(self, marks):
        """The daemon's requests since then: (verb, URI, status)."""
        found = {}
        for server in self.servers:
            if not server.audit.exists():
                continue
            with server.audit.open() as log:
                log.seek(marks.get(server.audit, 0))
                for line in log:
                    # The last line may be in the middle of being written.
                    if line.endswith("\n"):
                        event = json.loads(line)
                        status = event.get("responseStatus", {}).get("code", 0)
                        found.setdefault(event["auditID"], (event["verb"], event["requestURI"], status))
        return list(found.values())

    def stop(self):
        for process in [server.process for server in reversed(self.servers)] + [self.etcd_process]:
            process.kill()
            process.wait()
