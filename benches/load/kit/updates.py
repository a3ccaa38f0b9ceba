"""Secrets that change all the time: how long until the registry sees the new password, and until its verdict shows."""

import concurrent.futures
import json
import threading
import time

from .cluster import CLIENTS
from .common import quantiles
from .daemon import Daemon
from .seed import pull_secret

# Tokens beyond those of the seed.
FIRST_NEW = 1_000_000
SECONDS = 30
NAMESPACE = "team-0"


class Page:
    """Looks at the rows of one namespace all the time, and notes when each new user name was first shown as valid."""

    def __init__(self, daemon):
        self.daemon, self.seen, self.looks, self.ended = daemon, {}, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.ended.is_set():
            body = self.daemon.get(f"/api/v1/credentials?namespace={NAMESPACE}")[1]
            now, self.looks = time.monotonic(), self.looks + 1
            for row in json.loads(body)["credentials"]:
                if row["status"] == "valid":
                    self.seen.setdefault(row["username"], now)
            time.sleep(0.02)

    def stop(self):
        self.ended.set()
        self.thread.join()


def measure(world, binary):
    size = world.size
    ours = [nth for nth in range(size.secrets) if nth % size.namespaces == 0]
    answered = {}

    def put(turn, begun):
        time.sleep(max(0, begun + turn / size.updates - time.monotonic()))
        nth, user = ours[turn % len(ours)], f"updated-{turn}-at-{begun}"
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/pull-{nth}"
        status, _ = world.cluster.request("PUT", path, pull_secret(nth, FIRST_NEW + turn, user))
        if status != 200:
            raise SystemExit(f"load: PUT {path}: {status}")
        answered[user] = time.monotonic()

    with Daemon(world, binary, interval=600) as daemon:
        daemon.wait_for_inventory(size.patience)
        daemon.wait_for_verdicts(size.patience)
        page, begun, cpu = Page(daemon), time.monotonic(), daemon.cpu()
        turns = size.updates * SECONDS
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda turn: put(turn, begun), range(turns)))
        written = time.monotonic() - begun
        cpu = daemon.cpu() - cpu
        time.sleep(5)
        page.stop()
        asked, memory = world.registry.ask("users"), daemon.memory()
    restore(world, ours)
    seen = {user: moment - answered[user] for user, moment in page.seen.items() if user in answered}
    lags = {user: asked[user] - moment for user, moment in answered.items() if user in asked}
    return {"rate": turns / written, "updates": turns, "asked": len(lags), "shown": len(seen), "looks": page.looks,
            "registry ms": quantiles([lag * 1000 for lag in lags.values()]),
            "verdict ms": quantiles([lag * 1000 for lag in seen.values()]), "CPU": cpu / written, "peak": memory["peak"]}


def restore(world, numbers):
    for nth in numbers:
        world.cluster.request("PUT", f"/api/v1/namespaces/{NAMESPACE}/secrets/pull-{nth}", pull_secret(nth, nth % world.size.logins))


def report(result):
    print(f"{result['updates']} updates, {result['rate']:.0f} a second, of Secrets with {result['CPU']:.2f} s of CPU a second "
          f"(with {result['looks']} looks at the rows), peak {result['peak']:.1f} MiB")
    for name, key, count in (("to the registry", "registry ms", result["asked"]), ("to its verdict", "verdict ms", result["shown"])):
        median, p99, worst = result[key]
        print(f"from the API server's answer {name + ':':17} median {median:.0f} ms, p99 {p99:.0f} ms, worst {worst:.0f} ms ({count} seen)")
