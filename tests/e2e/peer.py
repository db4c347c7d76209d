"""An MTA that asks: Postfix's policy protocol and socketmaps, octet by octet."""

import socket

import harness


class Peer:
    """A connection to one of the two listeners."""

    def __init__(self, address):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=harness.PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def policy(self, state="RCPT", **attributes):
        lines = [f"{name}={value}\n" for name, value in
                 {"request": "smtpd_access_policy", "protocol_state": state, **attributes}.items()]
        self.socket.sendall("".join(lines).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n\n"):
            octets = self.socket.recv(4096)
            assert octets, f"closed after {answer}"
            answer += octets
        assert answer.startswith(b"action="), answer
        return answer[len(b"action="):-2].decode()

    def look_up(self, name, key):
        text = f"{name} {key}".encode()
        self.socket.sendall(b"%d:%s," % (len(text), text))
        answer = b""
        while not answer.endswith(b","):
            octets = self.socket.recv(4096)
            assert octets, f"closed after {answer}"
            answer += octets
        length, _, text = answer.partition(b":")
        assert int(length) == len(text) - 1, answer
        return text[:-1].decode()
