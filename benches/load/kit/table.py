"""The table: from the start over the inventory and all verdicts to rounds with scrapes."""

import time

from .bare import lists_of, read_all
from .common import quantiles
from .daemon import MIB, Daemon


def requests(asked):
    """How many of each verb."""
    counted = {}
    for verb, _, _ in asked:
        counted[verb] = counted.get(verb, 0) + 1
    return counted


def scout(world, binary):
    """What a daemon lists; the API server is warm afterwards."""
    marks = world.cluster.marks()
    with Daemon(world, binary, interval=600) as daemon:
        daemon.wait_for_inventory(world.size.patience)
    return lists_of(world.cluster.asked_since(marks))


def measure(world, binary, lists):
    size, marks, registry = world.size, world.cluster.marks(), world.registry
    before = read_all(world.wire.port, lists)
    server_cpu, wire = world.cluster.servers[0].cpu(), world.wire.bytes()
    registry.reset()
    with Daemon(world, binary, size.interval) as daemon:
        rows = [daemon.row("alive")]
        inventory = daemon.wait_for_inventory(size.patience)
        rows.append(daemon.row("inventory complete"))
        server_cpu, wire = world.cluster.servers[0].cpu() - server_cpu, world.wire.bytes() - wire
        asked = world.cluster.asked_since(marks)
        daemon.wait_for_verdicts(size.patience)
        rows.append(daemon.row("all verdicts"))
        first = registry.reset()
        scrapes, begun = {}, time.monotonic()
        for round_ in range(size.rounds):
            end = time.monotonic() + size.interval
            while time.monotonic() < end:
                for name, headers in (("gzip", {"Accept-Encoding": "gzip"}), ("plain", {})):
                    _, body, took = daemon.get("/metrics", headers)
                    scrapes.setdefault(name, []).append((took, len(body)))
                time.sleep(1)
            rows.append(daemon.row(f"round {round_ + 1} with scrapes"))
        rounds = (time.monotonic() - begun) / size.interval
        usual = registry.reset()
    after = read_all(world.wire.port, lists)
    bare = (before["seconds"] + after["seconds"]) / 2
    return {
        "rows": rows, "alive ms": daemon.alive * 1000, "requests": requests(asked), "API bytes": wire,
        "API server CPU": server_cpu, "bare client": before, "bare seconds": bare, "inventory over bare": inventory / bare,
        "scrapes": {name: summary(all_) for name, all_ in scrapes.items()},
        "first round s": (first["last"] or 0) - (first["first"] or 0), "first round, requests per login": per_login(first, size.logins),
        "usual round, requests per login": per_login(usual, size.logins * rounds) if size.rounds else {},
    }


def per_login(told, logins):
    return {kind: round(count / logins, 3) for kind, count in sorted(told["kinds"].items())}


def summary(all_):
    median, _, worst = quantiles([took * 1000 for took, _ in all_])
    return {"times": len(all_), "median ms": median, "worst ms": worst, "KiB": all_[-1][1] / 1024}


def report(result):
    print(f"{'':24}{'seconds':>9}{'RSS MiB':>9}{'PSS MiB':>9}{'peak MiB':>10}{'CPU s':>8}")
    for row in result["rows"]:
        print(f"{row['what']:24}{row['seconds']:9.2f}{row['rss']:9.1f}{row['pss']:9.1f}{row['peak']:10.1f}{row['cpu']:8.2f}")
    bare, asked = result["bare client"], result["requests"]
    print(f"from the start to /livez: {result['alive ms']:.0f} ms")
    print(f"until the inventory was complete: {', '.join(f'{count} {verb}' for verb, count in sorted(asked.items()))}; "
          f"{result['API bytes'] / MIB:.1f} MiB on the wire; {result['API server CPU']:.1f} s of the API server's CPU")
    print(f"a bare client needs {result['bare seconds']:.2f} s for the same {bare['pages']} pages of {bare['bytes'] / MIB:.1f} MiB; "
          f"the inventory took {result['inventory over bare']:.2f} times that")
    print(f"first round: {result['first round s']:.1f} s; requests per login: {told(result['first round, requests per login'])}")
    print(f"a usual round: requests per login: {told(result['usual round, requests per login'])}")
    for name, scrape in result["scrapes"].items():
        print(f"scrape, {name + ':':8}{scrape['times']:5} times, median {scrape['median ms']:.0f} ms, "
              f"worst {scrape['worst ms']:.0f} ms, {scrape['KiB']:.0f} KiB")


def told(per):
    return f"{sum(per.values()):.2f} ({', '.join(f'{count:.2f} {kind}' for kind, count in per.items())})" if per else "none"
