"""Ten thousand connections that say nothing: what each costs the front end; and TLS sessions resumed."""

import resource
import socket
import ssl

import certificate
from bench.peers.restante import Restante

GOAL_BYTES = 24 * 1024
# Connections that bring the session of an earlier one.
RESUMED = 500
# One address has 28,000 ports at most for us.
SOURCES = 4


def allow_descriptors(wanted):
    """Raises the limit of this process, and of those that it starts, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        highest = hard if hard == resource.RLIM_INFINITY else max(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))


def line(connection):
    got = b""
    while not got.endswith(b"\n"):
        octets = connection.recv(512)
        if not octets:
            raise RuntimeError(f"the front end has closed the connection behind {got}")
        got += octets
    return got


class Clients:
    """Connections of the same kind; each has had its greeting and said one command."""

    def __init__(self, address, tls=None):
        host, port = address.rsplit(":", 1)
        self.address, self.tls = (host, int(port)), tls
        self.open = []

    def connect(self, session=None):
        source = f"127.0.0.{1 + len(self.open) % SOURCES}"
        connection = socket.create_connection(self.address, 60, (source, 0))
        if self.tls:
            connection = self.tls.wrap_socket(connection, session=session)
        assert line(connection).startswith(b"220 ")
        connection.sendall(b"NOOP\r\n")
        assert line(connection).startswith(b"250 ")
        self.open.append(connection)
        return connection

    def close(self):
        for connection in self.open:
            connection.close()


def cost(bench, server, clients, count, progress, what):
    """Octets of resident memory that the front end has more for each of `count` connections."""
    try:
        # What the first ones cost is what all share.
        for _ in range(100):
            clients.connect()
        before = server.front.program.memory("VmRSS")
        for i in range(count):
            if i % 500 == 0:
                progress.step(f"{what}: {i:,} connections")
            clients.connect()
        return (server.front.program.memory("VmRSS") - before) / count
    finally:
        clients.close()


def resume(address, tls, count):
    """How many of `count` connections resume a session of one before."""
    clients = Clients(address, tls)
    try:
        reused = 0
        session = clients.connect().session
        for _ in range(count):
            connection = clients.connect(session)
            reused += connection.session_reused
            session = connection.session
        return reused
    finally:
        clients.close()


def run(bench):
    count = 1_000 if bench.quick else 10_000
    allow_descriptors(count + 1_000)
    place = bench.directory / "certificate"
    place.mkdir()
    pair = certificate.make_certificate(place)
    options = ["--tls-cert", pair[0], "--tls-key", pair[1], "--smtps-listen", "127.0.0.1:0"]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    progress = bench.progress(2 * (count // 500) + 1)
    figures, reused = {}, 0
    # Each kind has a server of its own: memory that one has left behind would serve the next.
    for kind, context in (("plain", None), ("TLS", tls)):
        with bench.peer(Restante, [], *options) as server:
            address = server.front.program.addresses["smtps"] if context else server.smtp
            figures[kind] = cost(bench, server, Clients(address, context), count, progress, kind)
            if context:
                progress.step("resuming TLS sessions")
                reused = resume(address, tls, RESUMED)
    progress.end()
    bench.report.table(f"{count:,} idle connections to the front end", ["connections", "bytes each"],
                       [[kind, each] for kind, each in figures.items()])
    for kind, each in figures.items():
        bench.report.goal(f"memory of the front end for each of {count:,} idle connections, {kind}", each,
                          unit="bytes", below=GOAL_BYTES)
    bench.report.goal(f"TLS sessions resumed, of {RESUMED}", reused, at_least=RESUMED)
    bench.report.keep("idle", {"connections": count, "bytes_each": figures, "tls_resumed": reused,
                               "tls_tried": RESUMED})
