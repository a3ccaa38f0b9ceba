"""What all parts of the kit use."""

import http.client
import socket
import statistics
import sys
import time


def say(text):
    print(f"load: {text}", file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, ready, seconds=120, pause=0.1):
    """Wait until `ready` says so; an answer that does not come counts as not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ready():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(pause)
    sys.exit(f"load: {what}: not after {seconds} s")


def quantiles(values):
    """Median, 99th percentile and maximum."""
    values = sorted(values)
    return statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.99))], values[-1]
