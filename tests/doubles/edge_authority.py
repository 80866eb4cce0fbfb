"""An agency's certificate authority, as `openssl` on somebody's desk."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path


class Authority:
    """Signs what gateways ask for.

    Parameters
    ----------
    folder
        Holds its key and certificate.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = folder / "ca.key", folder / "ca.crt"
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", self.key, "-out", self.certificate, "-subj", "/CN=Agency CA", "-days", "999",
        )  # fmt: skip

    def sign(
        self,
        request: Path,
        out: Path,
        *,
        ends_at: datetime | None = None,
        extensions: str = "",
    ) -> Path:
        """Sign a request; the certificate ends in 300 days, or when it is told to."""
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415

        if ends_at is None:
            extra = []
            if extensions:
                file = out.with_suffix(".ext")
                file.write_text(extensions, encoding="utf-8")
                extra = ["-extfile", str(file)]
            _openssl(
                "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", "300", "-out", out, *extra,
            )  # fmt: skip
            return out
        asked = x509.load_pem_x509_csr(request.read_bytes())
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        made = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(issuer.subject)
            .public_key(asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1))  # noqa: DTZ001 -- UTC by definition
            .not_valid_after(ends_at.replace(tzinfo=None))
            .sign(key, hashes.SHA256())  # type: ignore[arg-type]
        )
        out.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return out


def _openssl(*arguments: object) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def openssl(*arguments: object) -> str:
    """Return what openssl says."""
    return _openssl(*arguments)
