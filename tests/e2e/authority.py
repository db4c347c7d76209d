"""Certificates of an authority, from the openssl program."""

import os
import subprocess

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Authority:
    """Makes `NAME.pem`, and for each whom it signs `WHOM.pem` and `WHOM.key`, in one folder."""

    def __init__(self, directory, name):
        self.directory = directory
        self.certificate, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out",
                self.certificate)

    def sign(self, whom, names="", expired=False):
        """Returns certificate and key; they replace earlier ones, each in one step."""
        certificate, key = self.directory / f"{whom}.pem", self.directory / f"{whom}.key"
        request, extensions = self.directory / f"{whom}.csr", self.directory / f"{whom}.ext"
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        openssl("req", *KEY, "-subj", f"/CN={whom}", "-keyout", f"{key}.new", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", "-1" if expired else "2", "-extfile", extensions, "-out", f"{certificate}.new")
        os.rename(f"{key}.new", key)
        os.rename(f"{certificate}.new", certificate)
        return certificate, key
