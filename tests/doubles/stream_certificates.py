"""A certificate authority of the tests: brokers and gateways, valid, expired, of a wrong name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Signs certificates.

    Parameters
    ----------
    folder
        Where they are written.
    name
        Its own name.
    """

    def __init__(self, folder: Path, name: str = "agency") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = (
            _begun(self._name, self._name, self._key.public_key(), valid_for=10 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        hosts: Sequence[str] = (),
        addresses: Sequence[str] = (),
        valid_for: timedelta = DAY,
    ) -> tuple[Path, Path]:
        """Write a certificate and its key, and return both files (PEM).

        Parameters
        ----------
        name
            Common name; also names the files.
        hosts, addresses
            Names and IP addresses that the certificate is for.
        valid_for
            From now; negative: expired by so much.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        also = [x509.DNSName(host) for host in hosts]
        also_at = [x509.IPAddress(IPv4Address(address)) for address in addresses]
        begun = _begun(_named(name), self._name, key.public_key(), valid_for=valid_for)
        if also or also_at:
            begun = begun.add_extension(
                x509.SubjectAlternativeName([*also, *also_at]), critical=False
            )
        certificate = begun.sign(self._key, hashes.SHA256())
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key.pem"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, valid_for: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + valid_for)
    )
