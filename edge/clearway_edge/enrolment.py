"""The gateway's own key, made on the device, and the certificate that the agency's CA signs for it.

The private key never leaves the device: what travels is a request to sign, and what comes back is a
certificate that must fit the key and the gateway's name before it is put in place. This module
loads 10 MiB of `cryptography`: import it where somebody enrols, and nowhere else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clearway_core.errors import ClearwayError, MissingDependency, UsageError
from clearway_core.whole_file import replace_whole
from clearway_edge.settings.settings import GatewaySettings

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    message = (
        "enrolling needs the package cryptography: install it, or make the key with 'openssl "
        "ecparam -name prime256v1 -genkey -noout -out KEY' and the request with 'openssl req -new "
        "-key KEY -subj /CN=NAME -out REQUEST'"
    )
    raise MissingDependency(message) from error

_HOW_TO_SET = (
    'add to [log]: tls = true, key_file = "tls/gateway.key" and certificate_file = '
    '"tls/gateway.crt", then enrol again'
)


class EnrolmentFailed(ClearwayError):  # noqa: N818 -- named for what happened
    """A key, a request or a certificate is not what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Where a gateway stands on its way to a certificate; nothing here is secret.

    Parameters
    ----------
    gateway
        The name that the certificate must bear.
    key_file, request_file, certificate_file
        On the device. The request is what the CA gets.
    public_key_sha256
        Fingerprint of the public key (DER), to compare by telephone.
    expires_at
        Of the certificate that is in place; None without one.
    """

    gateway: str
    key_file: Path
    request_file: Path
    certificate_file: Path
    public_key_sha256: str
    expires_at: datetime | None = None

    @property
    def next_step(self) -> str:
        """What the person does now."""
        if self.expires_at is not None:
            return "nothing: the certificate is in place, a running gateway takes it by itself"
        return (
            f"have {self.request_file} signed by the agency's CA, then: "
            "clearway-gateway enrol --settings FILE --certificate SIGNED"
        )


def enrol(settings: GatewaySettings) -> Enrolment:
    """Make the key and the request, if they are not there yet.

    Raises
    ------
    UsageError
        If the settings name no key and certificate.
    EnrolmentFailed
        If a file cannot be written, or what is there is no key.
    """
    key_file, certificate_file = _files(settings)
    request_file = certificate_file.with_suffix(".csr")
    key = _key(key_file)
    if not _fits(request_file, key):
        _write(request_file, _request(settings.name, key), mode=0o644)
    expires_at = None
    if certificate_file.exists():
        certificate = _certificate(certificate_file)
        if _public(certificate) == _public(key):
            expires_at = certificate.not_valid_after_utc
    return Enrolment(
        gateway=settings.name,
        key_file=key_file,
        request_file=request_file,
        certificate_file=certificate_file,
        public_key_sha256=_fingerprint(key),
        expires_at=expires_at,
    )


def install(settings: GatewaySettings, signed: Path, *, now: datetime) -> Enrolment:
    """Put a signed certificate in place, once it is proved to be this gateway's.

    Parameters
    ----------
    signed
        PEM; certificates of the CA between may follow the gateway's own.
    now
        A certificate that has expired by then is refused.

    Raises
    ------
    EnrolmentFailed
        If it is no certificate, or another key's, another name's, expired, or not for clients; the
        one in place stays.
    """
    key_file, certificate_file = _files(settings)
    if not key_file.exists():
        message = f"{key_file} is not there, so no certificate can fit it: enrol first"
        raise EnrolmentFailed(message)
    key = _key(key_file)
    certificate = _certificate(signed)
    fault = _fault(certificate, settings.name, now)
    if _public(certificate) != _public(key):
        fault = (
            f"it belongs to another key than {key_file}: take the certificate that was made from "
            f"{certificate_file.with_suffix('.csr')}"
        )
    if fault:
        message = f"{signed} is not put in place: {fault}"
        raise EnrolmentFailed(message)
    _write(certificate_file, signed.read_bytes(), mode=0o644)
    return enrol(settings)


def _fault(certificate: x509.Certificate, name: str, now: datetime) -> str:
    names = [
        str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    if names != [name]:
        found = ", ".join(names) or "no name"
        return f"expected it to be made out to {name!r}, got {found}"
    if certificate.not_valid_after_utc <= now:
        return (
            f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}: have a new one signed, "
            "or set this machine's clock"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        return "it is not for clients (extended key usage): ask the CA for clientAuth"
    return ""


def _files(settings: GatewaySettings) -> tuple[Path, Path]:
    security = settings.security
    if security is None or security.key_file is None or security.certificate_file is None:
        message = (
            f"{settings.file}: expected log.key_file and log.certificate_file, which say where key "
            f"and certificate go: {_HOW_TO_SET}"
        )
        raise UsageError(message)
    return security.key_file, security.certificate_file


def _key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in the file; it is made, once, if there is none."""
    if not file.exists():
        # P-256 (FIPS 186-5): every broker takes it, and a Pi signs with it in a millisecond.
        made = ec.generate_private_key(ec.SECP256R1())
        text = made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write(file, text, mode=0o600)
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        # What the library says about a key may tell of the key: only the kind of error is told.
        kind = error.strerror if isinstance(error, OSError) else "it is no private key (PEM)"
        message = f"{file} cannot be used: {kind}. Move it away to have a new key made."
        raise EnrolmentFailed(message) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        message = f"{file} holds no key on an elliptic curve: move it away to have a new one made"
        raise EnrolmentFailed(message)
    return key


def _request(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    also = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(also, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _fits(request_file: Path, key: ec.EllipticCurvePrivateKey) -> bool:
    try:
        request = x509.load_pem_x509_csr(request_file.read_bytes())
    except (OSError, ValueError):
        return False
    return _public(request) == _public(key)


def _certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror}): check the path"
        raise EnrolmentFailed(message) from error
    except ValueError as error:
        message = f"{file} holds no certificate (PEM): expected what the CA sent back"
        raise EnrolmentFailed(message) from error


def _public(
    of: ec.EllipticCurvePrivateKey | x509.Certificate | x509.CertificateSigningRequest,
) -> bytes:
    return of.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _fingerprint(key: ec.EllipticCurvePrivateKey) -> str:
    return hashlib.sha256(_public(key)).hexdigest()


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """Write a file whole or not at all: a power cut leaves no half key."""
    try:
        replace_whole(file, content, mode=mode)
    except OSError as error:
        message = f"{file} cannot be written ({error.strerror}): check the folder and its owner"
        raise EnrolmentFailed(message) from error
