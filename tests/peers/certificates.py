"""Certificates for one test, made with the openssl tool: an authority and those it signs."""
from .process import run
from .tools import need

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """ca.pem and ca.key in a directory; .sign("alice") adds alice.pem and alice.key."""

    def __init__(self, directory):
        self.directory = directory
        self.file = directory / "ca.pem"
        run(need("openssl"), "req", "-x509", *NEW_KEY, "-keyout", directory / "ca.key", "-out", self.file,
            "-subj", "/CN=authority", "-days", "2")

    def sign(self, name, san="DNS:localhost,IP:127.0.0.1", file=None, days=2):
        """The names of the certificate's and the key's file.  days=-1: it ended yesterday."""
        stem = self.directory / (file or name)
        cert, key, request, extension = (stem.with_suffix(s) for s in (".pem", ".key", ".csr", ".ext"))
        extension.write_text(f"subjectAltName={san}\n")
        run(need("openssl"), "req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        run(need("openssl"), "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.directory / "ca.key",
            "-CAcreateserial", "-days", days, "-extfile", extension, "-out", cert)
        return cert, key
