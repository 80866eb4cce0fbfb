"""Why a broker turns a sender away, in words that say what to change; part of `.kafka`.

Only what stays until somebody changes something is a refusal. A broker that is down, restarts or is
slow is not.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from kafka import errors as kafka_errors

_EXPIRED, _NOT_YET_VALID = 10, 9
_UNTRUSTED = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})
"""Results of X509_verify_cert, as OpenSSL's x509_vfy.h numbers them."""

_OWN_CERTIFICATE = {
    "CERTIFICATE_EXPIRED": "this sender's certificate has expired: renew it (log.certificate_file)",
    "CERTIFICATE_REVOKED": "this sender's certificate was revoked: issue a new one",
    "UNKNOWN_CA": "the broker does not know who signed this sender's certificate: "
    "have it signed by an authority that the broker trusts",
    "CERTIFICATE_UNKNOWN": "the broker does not accept this sender's certificate: has it "
    "expired, and is it signed by an authority that the broker trusts?",
    "BAD_CERTIFICATE": "the broker wants a certificate that it accepts: "
    "check log.certificate_file and log.key_file",
    "CERTIFICATE_REQUIRED": "the broker asks for a certificate: "
    "set log.certificate_file and log.key_file",
    "HANDSHAKE_FAILURE": "the broker does not accept this sender's TLS: does it ask for a "
    "certificate (log.certificate_file, log.key_file)?",
}
"""Alerts of TLS (RFC 8446, 6.2) that a broker sends about the client's certificate."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


_OF_KAFKA = (
    (
        kafka_errors.SaslAuthenticationFailedError,
        "user or password: check log.username and log.password_file",
    ),
    (
        kafka_errors.UnsupportedSaslMechanismError,
        "the broker does not take this log.sasl_mechanism: ask which it takes",
    ),
    (
        kafka_errors.IllegalSaslStateError,
        "the broker asks for user and password: set log.sasl_mechanism and log.username",
    ),
    (
        kafka_errors.InvalidReceiveError,
        "the broker's port speaks something else than plain Kafka: does it want log.tls?",
    ),
    (
        kafka_errors.ClusterAuthorizationFailedError,
        "cluster not allowed: let this user create topics, or create them beforehand",
    ),
    (
        kafka_errors.AuthorizationError,
        "topic not allowed: let this user write to Clearway's topics",
    ),
)


def refusal_of(error: BaseException) -> str | None:
    """Return why a broker refuses and what to do, or None where it does not refuse.

    Parameters
    ----------
    error
        What kafka-python or the TLS library raised; its causes are looked at too.
    """
    for cause in _causes(error):
        words = _of_tls(cause) if isinstance(cause, ssl.SSLError) else _of_kafka(cause)
        if words is not None:
            return words
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and what kafka-python put into its arguments."""
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [part for part in each.args if isinstance(part, BaseException)]
        left += [more for more in (each.__cause__, each.__context__) if more is not None]


def _of_tls(error: ssl.SSLError) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_broker_certificate(error)
    reason = (error.reason or "").upper()
    for alert, words in _OWN_CERTIFICATE.items():
        if reason.endswith(f"ALERT_{alert}"):
            return words
    if reason in _NO_TLS:
        return "the broker's port speaks no TLS: check the port of log.address, or log.tls"
    return None


def _of_broker_certificate(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "the broker's certificate has expired: renew it there (and check the clock here)"
    if code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet: check the clock here"
    if code in _OTHER_NAME:
        return (
            "the broker's certificate is for another name than log.address: "
            "use the name in it, or have it issued for this one"
        )
    if code in _UNTRUSTED:
        return (
            "the broker's certificate is signed by nobody in log.ca_file: "
            "put the certificate of the broker's authority there"
        )
    return f"the broker's certificate cannot be trusted: {error.verify_message}"


def _of_kafka(error: BaseException) -> str | None:
    return next((words for kind, words in _OF_KAFKA if isinstance(error, kind)), None)
