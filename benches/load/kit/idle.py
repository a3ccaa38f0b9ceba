"""What the daemon does while nothing happens and nothing is due: instructions, counted by valgrind, or CPU."""

import pathlib
import re
import subprocess
import time

from .common import say
from .daemon import Daemon
from .table import requests

# Nothing is due again within the watched time.
LONG = 12 * 3600
# What a first round leaves to be asked comes within a minute or so.
SILENCE = 80


def measure(world, binary):
    seconds = world.size.idle
    with Daemon(world, binary, LONG) as daemon:
        daemon.wait_for_inventory(world.size.patience)
        daemon.wait_for_quiet(world.registry, world.size.patience, SILENCE)
        cpu, marks = daemon.cpu(), world.cluster.marks()
        world.registry.reset()
        time.sleep(seconds)
        result = {"seconds": seconds, "CPU ms per minute": (daemon.cpu() - cpu) * 60000 / seconds,
                  "API requests": requests(world.cluster.asked_since(marks)), "registry requests": world.registry.reset()["kinds"]}
    return {**result, "instructions per minute": instructions(world, binary, seconds)}


def instructions(world, binary, seconds):
    """Counted by callgrind, which is told when to begin: counters of the processor lack on many virtual machines."""
    valgrind = world.programs["VALGRIND"]
    under = [valgrind, "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" + str(world.folder / "callgrind.out")]
    with Daemon(world, binary, LONG, under) as daemon:
        daemon.wait_for_inventory(world.size.patience * 10)
        daemon.wait_for_quiet(world.registry, world.size.patience, SILENCE)
        say("counting instructions")
        control = pathlib.Path(valgrind).with_name("callgrind_control")
        subprocess.run([control, "-i", "on", str(daemon.process.pid)], check=True, capture_output=True)
        time.sleep(seconds)
        subprocess.run([control, "-i", "off", str(daemon.process.pid)], check=True, capture_output=True)
    counted = re.findall(r"Collected : (\d+)", daemon.log.read_text())
    if not counted:
        raise SystemExit("load: callgrind counted nothing")
    return int(counted[-1]) * 60 // seconds


def report(result):
    print(f"idle for {result['seconds']} s: {result['CPU ms per minute']:.1f} ms of CPU and "
          f"{result['instructions per minute'] / 1e6:.2f} million instructions a minute; "
          f"to the API server {told(result['API requests'])}, to the registry {told(result['registry requests'])}")


def told(counts):
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"
