"""The daemon that is measured: how it is started, asked and looked at."""

import gzip
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from .common import free_port, until

MIB = 1024 * 1024


class Daemon:
    def __init__(self, world, binary, interval, under=(), environment=None):
        """`under` are words before the command, and `environment` is added to it, for a tool that watches it."""
        size, folder, registry = world.size, world.folder, world.registry.port
        limits = {} if size.limits == "default" else {"requestsPerSecond": 10000}
        config = {
            "registries": [{"host": "ghcr.io", "issuer": "github", "endpoint": f"http://127.0.0.1:{registry}",
                            "api": f"http://127.0.0.1:{registry}", "plainHttp": True, "allowPrivateAddresses": True, **limits}],
            "probe": {"interval": f"{interval}s", "rejectedInterval": f"{max(interval, 6 * 3600)}s", "accessChecksPerLogin": 1000},
            "issuer": {"interval": f"{max(interval, 3600)}s"},
        }
        (folder / "config.yaml").write_text(json.dumps(config))
        kubeconfig = world.cluster.kubeconfig(world.wire.port)
        # A tool that watches a process loses it where it starts itself anew, so it gets its settings beforehand.
        settings = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
        environment = {**os.environ, **(settings if under or environment else {}), **(environment or {})}
        self.log, self.port = folder / "daemon.log", free_port()
        command = [*under, binary, "serve", "--config.file", folder / "config.yaml", "--kubeconfig", kubeconfig,
                   "--web.listen-address", f"127.0.0.1:{self.port}"]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stderr=self.log.open("w"), env=environment)
        try:
            until("/livez", self.is_alive, pause=0.001)
        except SystemExit as ended:
            self.__exit__(type(ended))
            raise
        self.alive = time.monotonic() - self.begun

    def is_alive(self):
        if self.process.poll() is not None:
            sys.exit("load: the daemon has ended")
        return self.get("/livez")[0] == 200

    def get(self, path, headers=None):
        """Status, body and seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        begun = time.monotonic()
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body, time.monotonic() - begun

    def wait_for_inventory(self, patience):
        until("complete inventory", lambda: self.get("/readyz")[0] == 200, patience, pause=0.01)
        return time.monotonic() - self.begun

    def wait_for_verdicts(self, patience):
        until("all verdicts", lambda: self.unverified() == 0, patience)
        return time.monotonic() - self.begun

    def wait_for_quiet(self, registry, patience, silence=5):
        """All verdicts, told without a scrape, and then so many seconds without a question to the registry."""
        def settled():
            summary = json.loads(self.get("/api/v1/credentials?namespace=none")[1])["summary"]
            return summary["credentials"].get("unverified", 0) + summary["workloads"].get("unverified", 0) == 0

        until("all verdicts", settled, patience, pause=0.5)
        until("silence", lambda: time.monotonic() - (registry.ask("counts")["last"] or 0) > silence, patience, pause=0.5)

    def unverified(self):
        text = gzip.decompress(self.get("/metrics", {"Accept-Encoding": "gzip"})[1])
        unsettled = text.count(b'status="unverified"') + text.count(b'outlook="unverified"')
        return unsettled if b"pullsecret_credential_status{" in text else None

    def watch_errors(self):
        """Lists and watches that failed so far, by reason."""
        counted = {}
        for reason, count in re.findall(rb'pullpatrol_watch_errors_total\{[^}]*reason="(\w+)"[^}]*\} (\d+)', self.get("/metrics")[1]):
            counted[reason.decode()] = counted.get(reason.decode(), 0) + int(count)
        return counted

    def cpu(self):
        """Seconds of CPU since the start, threads that have ended included."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self):
        """Resident memory, its share and its peak, in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.endswith(" kB")}
        rollup = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return {"rss": kilobytes["VmRSS"] / 1024, "pss": pss / 1024, "peak": kilobytes["VmHWM"] / 1024}

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def row(self, what):
        return {"what": what, "seconds": time.monotonic() - self.begun, **self.memory(), "cpu": self.cpu()}

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is SystemExit:
            print(self.log.read_text()[-2000:], file=sys.stderr)
        self.stop()
