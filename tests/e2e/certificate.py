"""A certificate and its key, signed by itself, from the openssl program."""

import os
import subprocess


def make_certificate(directory, name="mx.example.org", key="ec"):
    """A pair of its own at each call; returns the certificate's file and the key's."""
    kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["rsa:2048"]
    certificate, secret = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", f"{secret}.new", "-out",
         f"{certificate}.new", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True)
    os.rename(f"{certificate}.new", certificate)
    os.rename(f"{secret}.new", secret)
    return certificate, secret
