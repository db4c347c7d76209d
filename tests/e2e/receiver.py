"""An HTTP server that keeps what is posted to it, and answers as it is told."""

import hashlib
import hmac
import http.server
import json
import ssl
import threading


class Receiver:
    """`answer` is the status of the answers from now on; `posts` what came: (path, headers, body, status)."""

    def __init__(self, answer=200, certificate=None):
        self.answer = answer
        self.posts = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answer
                receiver.posts.append((self.path, self.headers, body, status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                      do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def events(self, status=200):
        """Those that were answered so, in the order in which they came."""
        return [json.loads(body) for _, _, body, answered in self.posts if answered == status]


def signed_by(secret, headers, body):
    """Whether the header `Restante-Signature` is right: what README tells receivers to do."""
    time, signature = (part.split("=", 1)[1] for part in headers["Restante-Signature"].split(","))
    wanted = hmac.new(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, signature)
