"""An API server that ends: the same one starts again, or another one over the same etcd takes its place."""

import time

from .common import say
from .daemon import MIB, Daemon
from .table import requests

# After a restart: as long as the longest pause of a watch that failed, and some.
SETTLED = 75


def measure(world, binary):
    cluster, result = world.cluster, {}
    second = cluster.second()
    with Daemon(world, binary, interval=3600) as daemon:
        daemon.wait_for_inventory(world.size.patience)
        daemon.wait_for_quiet(world.registry, world.size.patience)
        # A bookmark comes once a minute.
        say("waiting for a bookmark")
        time.sleep(70)

        def watched(what, step):
            marks, wire, cpu, errors = cluster.marks(), world.wire.bytes(), daemon.cpu(), daemon.watch_errors()
            daemon.forget_peak()
            step()
            time.sleep(SETTLED)
            asked = cluster.asked_since(marks)
            errors = {reason: count - errors[reason] for reason, count in daemon.watch_errors().items()}
            result[what] = {"requests": requests(asked), "errors": errors, "pages": sum(1 for verb, _, status in asked if (verb, status) == ("list", 200)),
                            "MiB": (world.wire.bytes() - wire) / MIB, "CPU": daemon.cpu() - cpu, "peak": daemon.memory()["peak"]}

        def other():
            world.wire.point_at(second.port)
            cluster.servers[0].stop()

        def same():
            second.stop()
            second.start()

        watched("another server takes its place", other)
        watched("the only server starts again", same)
        cluster.servers[0].start()
        world.wire.point_at(cluster.servers[0].port)
    second.stop()
    cluster.servers.remove(second)
    return result


def report(result):
    print(f"{'API server ends':32}{'pages of lists':>15}{'watches':>9}{'others':>8}{'MiB':>8}{'CPU s':>8}{'peak MiB':>10}  errors of watches")
    for what, row in result.items():
        asked = row["requests"]
        others = sum(count for verb, count in asked.items() if verb not in ("list", "watch"))
        print(f"{what:32}{row['pages']:15}{asked.get('watch', 0):9}{others:8}{row['MiB']:8.1f}{row['CPU']:8.2f}{row['peak']:10.1f}  "
              + ", ".join(f"{count} {reason}" for reason, count in row["errors"].items() if count))
