"""A client that reads the lists that the daemon read, in the same pages, and does nothing with them."""

import concurrent.futures
import http.client
import re
import ssl
import time
import urllib.parse

from .cluster import BARE

CONTINUE = re.compile(rb'"continue":"([^"]+)"')


def lists_of(asked):
    """The first page of each list among requests."""
    return sorted({uri for verb, uri, status in asked if verb == "list" and status == 200 and "continue=" not in uri})


def read_list(port, uri):
    """The length of each page."""
    # Our own server of a minute's life on the loopback address.
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
    more, pages = "", []
    while True:
        connection.request("GET", uri + more, headers={"Authorization": f"Bearer {BARE}", "Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"{uri}: {answer.status}")
        pages.append(len(body))
        # The metadata of a list stands before its items.
        found = CONTINUE.search(body[:2000])
        if not found:
            connection.close()
            return pages
        more = "&continue=" + urllib.parse.quote(found[1].decode())


def read_all(port, uris):
    """All lists at once, as the daemon reads them: seconds, pages, bytes and seconds of CPU."""
    begun, cpu = time.monotonic(), time.process_time()
    with concurrent.futures.ThreadPoolExecutor(len(uris)) as pool:
        pages = [length for pages in pool.map(lambda uri: read_list(port, uri), uris) for length in pages]
    took = time.monotonic() - begun
    return {"seconds": took, "pages": len(pages), "bytes": sum(pages), "cpu": time.process_time() - cpu}
