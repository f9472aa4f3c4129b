"""The public PKI of a world: a CA and its certificates, by the openssl command."""

import os

from .process import run

EKU_SERVER = "serverAuth"  # as public CAs issue now
EKU_BOTH = "serverAuth,clientAuth"  # as they issued earlier


class Authority:
    """A CA in a folder: ca.crt, ca.key."""

    def __init__(self, folder, name="Lab public CA"):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.certificate = os.path.join(folder, "ca.crt")
        self._key = os.path.join(folder, "ca.key")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-subj", f"/CN={name}", "-keyout", self._key,
            "-out", self.certificate, "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, stem, names, eku=EKU_SERVER):
        """Write stem.crt and stem.key for these DNS names; returns both paths."""
        request, extensions = f"{stem}.csr", f"{stem}.ext"
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", f"/CN={names[0]}", "-keyout", f"{stem}.key", "-out", request)
        with open(extensions, "w") as file:
            file.write(_extensions(names, eku))
        run("openssl", "x509", "-req", "-in", request, "-CA", self.certificate,
            "-CAkey", self._key, "-CAcreateserial", "-days", "30", "-extfile", extensions,
            "-out", f"{stem}.crt")
        os.unlink(request)
        os.unlink(extensions)
        return f"{stem}.crt", f"{stem}.key"


def self_signed(stem, names):
    """A self-signed certificate, as on many small servers."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "30", "-subj", f"/CN={names[0]}", "-keyout", f"{stem}.key",
        "-out", f"{stem}.crt", "-addext", "subjectAltName=" + ",".join(f"DNS:{n}" for n in names))
    return f"{stem}.crt", f"{stem}.key"


def _extensions(names, eku):
    return ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage={eku}\nsubjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n")
