"""Between the daemon and the API server: a relay that counts bytes and can be pointed at another server."""

import multiprocessing
import socket
import threading

from .common import free_port


def pump(source, sink, count):
    try:
        while True:
            data = source.recv(1 << 18)
            if not data:
                break
            with count.get_lock():
                count.value += len(data)
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(client, server, sent, received):
    back = threading.Thread(target=pump, args=(server, client, received), daemon=True)
    back.start()
    pump(client, server, sent)
    back.join()
    client.close()
    server.close()


def serve(port, upstream, sent, received):
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    while True:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", upstream.value), timeout=10)
        except OSError:
            client.close()
            continue
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=relay, args=(client, server, sent, received), daemon=True).start()


class Wire:
    """TLS passes through, so what is counted is what is on the wire."""

    def __init__(self, upstream):
        self.port = free_port()
        self.upstream = multiprocessing.Value("i", upstream)
        self.sent, self.received = multiprocessing.Value("q", 0), multiprocessing.Value("q", 0)
        arguments = (self.port, self.upstream, self.sent, self.received)
        self.process = multiprocessing.Process(target=serve, args=arguments, daemon=True)
        self.process.start()

    def point_at(self, upstream):
        """New connections go there; those that are open stay."""
        self.upstream.value = upstream

    def bytes(self):
        return self.sent.value + self.received.value

    def stop(self):
        self.process.terminate()
        self.process.join()
