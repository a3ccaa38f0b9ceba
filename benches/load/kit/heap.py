"""Who holds what: the heap of a daemon that has all verdicts, by the part of the code that asked for it. Needs heaptrack."""

import pathlib
import re
import subprocess
import time

from .daemon import MIB, Daemon

TOOLS = pathlib.Path("/usr/lib/heaptrack")
OURS = re.compile(r"pull_patrol::(\w+(?:::\w+)?)")
THEIRS = re.compile(r"^<?&?(?:mut |dyn )?([a-z_][a-z0-9_]*)::")
# Crates that hold nothing of their own: they make room for others.
PLUMBING = {"alloc", "core", "std", "hashbrown", "serde_json", "serde", "serde_core", "tokio", "futures_util", "bytes", "secrecy"}


def owner(stack):
    """The innermost part of ours on a stack of frames, outermost first; else the innermost crate that is no plumbing."""
    for frame in reversed(stack):
        if found := OURS.search(frame):
            return found[1]
    for frame in reversed(stack):
        found = THEIRS.search(frame)
        if found and found[1] not in PLUMBING:
            return found[1]
    return "the rest"


def measure(world, binary):
    if not TOOLS.exists():
        raise SystemExit("load: --heap needs heaptrack (Debian package heaptrack)")
    raw, trace, stacks = (world.folder / f"heap.{name}" for name in ("raw", "trace", "stacks"))
    watched = {"LD_PRELOAD": str(TOOLS / "libheaptrack_preload.so"), "DUMP_HEAPTRACK_OUTPUT": str(raw)}
    with Daemon(world, binary, interval=600, environment=watched) as daemon:
        daemon.wait_for_inventory(world.size.patience)
        daemon.wait_for_verdicts(world.size.patience)
        # The writer of the trace has a buffer.
        time.sleep(30)
        memory = daemon.memory()
        # What lives when it is killed is what it holds.
        daemon.process.kill()
    with raw.open("rb") as source, trace.open("wb") as sink:
        subprocess.run([TOOLS / "libexec/heaptrack_interpret"], stdin=source, stdout=sink, check=True)
    subprocess.run(["heaptrack_print", "-f", trace, "-p0", "-a0", "-T0", "-n0", "-F", stacks, "--flamegraph-cost-type", "leaked"],
                   check=True, capture_output=True)
    held = {}
    for line in stacks.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        who = owner(frames.split(";"))
        held[who] = held.get(who, 0) + int(count)
    return {"held": {who: count / MIB for who, count in sorted(held.items(), key=lambda one: -one[1])}, **memory}


def report(result):
    total = sum(result["held"].values())
    print(f"heap: {total:.1f} MiB in blocks, {result['rss']:.1f} MiB resident with heaptrack in the process")
    for who, count in list(result["held"].items())[:20]:
        print(f"{who:48}{count:8.2f} MiB")
