"""How a process proves to a Kafka broker who it is, and checks who the broker is."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clearway_core.errors import SettingsError
from clearway_core.settings import Secret, Section

SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_PREFIX = "CLEARWAY_KAFKA_"
_NAMES = (
    "TLS",
    "CA_FILE",
    "CERTIFICATE_FILE",
    "KEY_FILE",
    "SASL_MECHANISM",
    "USERNAME",
    "PASSWORD",
    "PASSWORD_FILE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """TLS and SASL of a Kafka connection; the default is neither, for loopback and closed networks.

    Parameters
    ----------
    tls
        Encrypt (TLS 1.2 or newer) and check the broker's certificate and host name.
    ca_file
        Certificates that may sign the broker's; None for those that the system trusts.
    certificate_file, key_file
        The client's own certificate and key (PEM), for brokers that ask for one.
    sasl_mechanism
        One of `SASL_MECHANISMS`, or None.
    username, password, password_file
        For SASL.
    """

    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: Secret | None = None
    password_file: Path | None = None

    @property
    def protocol(self) -> str:
        """Kafka's name for the combination."""
        transport = "SSL" if self.tls else "PLAINTEXT"
        return transport if self.sasl_mechanism is None else f"SASL_{transport}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS settings, or None without TLS.

        Raises
        ------
        SettingsError
            If a certificate or key cannot be read.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except OSError as error:  # ssl.SSLError is one too
            files = (self.ca_file, self.certificate_file, self.key_file)
            used = ", ".join(str(file) for file in files if file is not None)
            fault = (
                f"the certificates for Kafka cannot be used ({error}): check {used or 'the system'}"
            )
            raise SettingsError([fault]) from error
        return context


def security_from_environment(environment: Mapping[str, str]) -> KafkaSecurity:
    """Return the security that ``CLEARWAY_KAFKA_*`` variables ask for.

    Parameters
    ----------
    environment
        Usually ``os.environ``; only the command line reads it.

    Raises
    ------
    SettingsError
        With every fault.
    """
    given = {name: environment.get(_PREFIX + name) or None for name in _NAMES}
    faults = [
        f"{name} is not known; known: {', '.join(_PREFIX + known for known in _NAMES)}"
        for name in environment
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) not in _NAMES
    ]
    faults += [
        f"{_PREFIX}{name}: {problem}"
        for name, problem in _faults(given, called=lambda name: f"{_PREFIX}{name}")
    ]
    password = given["PASSWORD"]
    if given["PASSWORD_FILE"] is not None:
        try:
            password = Path(given["PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{_PREFIX}PASSWORD_FILE cannot be read: {error}")
    if faults:
        raise SettingsError(faults)
    return KafkaSecurity(
        tls=given["TLS"] == "true",
        ca_file=_path(given["CA_FILE"]),
        certificate_file=_path(given["CERTIFICATE_FILE"]),
        key_file=_path(given["KEY_FILE"]),
        sasl_mechanism=given["SASL_MECHANISM"],
        username=given["USERNAME"],
        password=None if password is None else Secret(password),
    )


def security_from_section(section: Section, folder: Path) -> KafkaSecurity | None:
    """Return the security that the ``[log]`` table of a settings file asks for.

    Secrets themselves never stand in a settings file, only the files that hold them.

    Parameters
    ----------
    section
        May hold ``tls``, ``ca_file``, ``certificate_file``, ``key_file``, ``sasl_mechanism``,
        ``username`` and ``password_file``; faults go to it.
    folder
        Where relative paths start.

    Returns
    -------
    KafkaSecurity or None
        None if the table says nothing about it: then the environment counts. The password is read
        when the connection is made, see `with_password`.
    """
    keys = [key for key in section.keys() if key != "address"]  # noqa: SIM118 -- not a dict
    tls = section.flag("tls", default=False)
    files = {
        name: None if (text := section.optional_text(name)) is None else folder / text
        for name in ("ca_file", "certificate_file", "key_file", "password_file")
    }
    mechanism = section.optional_text("sasl_mechanism")
    username = section.optional_text("username")
    given = {
        "TLS": "true" if tls else "false",
        "SASL_MECHANISM": mechanism,
        "USERNAME": username,
        "PASSWORD": None,
        **{name.upper(): None if file is None else str(file) for name, file in files.items()},
    }
    for name, problem in _faults(given, called=lambda name: f"log.{name.lower()}"):
        section.fault(name.lower(), problem)
    if not keys:
        return None
    return KafkaSecurity(
        tls=tls,
        ca_file=files["ca_file"],
        certificate_file=files["certificate_file"],
        key_file=files["key_file"],
        sasl_mechanism=mechanism,
        username=username,
        password_file=files["password_file"],
    )


def with_password(security: KafkaSecurity) -> KafkaSecurity:
    """Return the security with the password read from its file, if there is one.

    Raises
    ------
    SettingsError
        If the file cannot be read.
    """
    if security.password_file is None or security.password is not None:
        return security
    try:
        password = security.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        fault = f"{security.password_file}: log.password_file cannot be read: {error}"
        raise SettingsError([fault]) from error
    return replace(security, password=Secret(password))


def _faults(
    given: Mapping[str, str | None], *, called: Callable[[str], str]
) -> list[tuple[str, str]]:
    """Return what is wrong as pairs of name and problem.

    Parameters
    ----------
    given
        Values by `_NAMES`.
    called
        What a person knows a name as.
    """
    faults: list[tuple[str, str]] = []
    tls, mechanism = given["TLS"], given["SASL_MECHANISM"]
    if tls not in {None, "true", "false"}:
        faults.append(("TLS", f"expected true or false, got {tls!r}"))
    faults += [
        (name, f"has no effect without {called('TLS')} = true")
        for name in ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE")
        if given[name] is not None and tls != "true"
    ]
    if given["KEY_FILE"] is not None and given["CERTIFICATE_FILE"] is None:
        faults.append(("KEY_FILE", f"needs {called('CERTIFICATE_FILE')}"))
    if mechanism is not None and mechanism not in SASL_MECHANISMS:
        known = ", ".join(SASL_MECHANISMS)
        faults.append(("SASL_MECHANISM", f"expected one of {known}, got {mechanism!r}"))
    return faults + _password_faults(given, called=called)


def _password_faults(
    given: Mapping[str, str | None], *, called: Callable[[str], str]
) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    mechanism = given["SASL_MECHANISM"]
    passwords = [name for name in ("PASSWORD", "PASSWORD_FILE") if given[name] is not None]
    if len(passwords) > 1:
        faults.append(("PASSWORD", f"is given beside {called('PASSWORD_FILE')}: give one of them"))
    if mechanism is not None:
        faults += [
            ("SASL_MECHANISM", f"needs {called(name)}")
            for name, missing in (
                ("USERNAME", given["USERNAME"] is None),
                ("PASSWORD_FILE", not passwords),
            )
            if missing
        ]
    else:
        faults += [
            (name, f"has no effect without {called('SASL_MECHANISM')}")
            for name in ("USERNAME", *passwords)
            if given[name] is not None
        ]
    if mechanism == "PLAIN" and given["TLS"] != "true":
        faults.append(("SASL_MECHANISM", f"PLAIN sends the password itself: set {called('TLS')}"))
    return faults


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
