"""What a scrape takes beyond what the daemon holds anyway: memory and CPU, alone and with others at once."""

import threading

from .daemon import Daemon

CROWD = 20


def measure(world, binary):
    with Daemon(world, binary, interval=3600) as daemon:
        daemon.wait_for_inventory(world.size.patience)
        # Without a scrape so far: what is settled is asked of the API.
        daemon.wait_for_quiet(world.registry, world.size.patience)
        result = {}
        for name, count, headers in (("first, gzip", 1, {"Accept-Encoding": "gzip"}), ("next, gzip", 1, {"Accept-Encoding": "gzip"}),
                                     ("plain", 1, {}), (f"{CROWD} at once, gzip", CROWD, {"Accept-Encoding": "gzip"}),
                                     (f"{CROWD} at once, plain", CROWD, {})):
            daemon.forget_peak()
            before, cpu, sizes = daemon.memory(), daemon.cpu(), []
            threads = [threading.Thread(target=lambda: sizes.append(len(daemon.get("/metrics", headers)[1]))) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if len(sizes) != count:
                raise SystemExit(f"load: {count - len(sizes)} of {count} scrapes failed")
            result[name] = {"CPU ms": (daemon.cpu() - cpu) * 1000, "extra MiB": daemon.memory()["peak"] - before["rss"],
                            "rss": before["rss"], "KiB": sizes[0] / 1024}
        return result


def report(result):
    print(f"{'scrapes':24}{'CPU ms':>9}{'extra peak MiB':>16}{'RSS before':>12}{'KiB each':>10}")
    for name, row in result.items():
        print(f"{name:24}{row['CPU ms']:9.1f}{row['extra MiB']:16.1f}{row['rss']:12.1f}{row['KiB']:10.0f}")
