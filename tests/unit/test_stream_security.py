"""TLS and SASL for Kafka: from the environment, all faults at once, secrets never shown."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from clearway_core.errors import SettingsError, UsageError
from clearway_core.settings import open_toml
from clearway_core.stream.address import open_log
from clearway_core.stream.security import (
    KafkaSecurity,
    security_from_environment,
    security_from_section,
    with_password,
)

PREFIX = "CLEARWAY_KAFKA_"


def security(**given: str) -> KafkaSecurity:
    return security_from_environment({PREFIX + name: value for name, value in given.items()})


def test_nothing_given_is_plain_text():
    found = security_from_environment({"PATH": "/bin"})
    assert found == KafkaSecurity()
    assert (found.protocol, found.tls_context()) == ("PLAINTEXT", None)


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ({"TLS": "true"}, "SSL"),
        ({"TLS": "false"}, "PLAINTEXT"),
        (
            {"TLS": "true", "SASL_MECHANISM": "PLAIN", "USERNAME": "gw", "PASSWORD": "x"},
            "SASL_SSL",
        ),
        (
            {"SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": "gw", "PASSWORD": "x"},
            "SASL_PLAINTEXT",
        ),
    ],
)
def test_protocol_follows_from_tls_and_sasl(given, protocol):
    assert security(**given).protocol == protocol


def test_tls_context_checks_the_broker_and_speaks_nothing_old():
    context = security(TLS="true").tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_client_certificate_is_loaded(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=gw", "-days",
         "1", "-keyout", str(key), "-out", str(certificate)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip("openssl cannot make a certificate here")
    found = security(
        TLS="true", CA_FILE=str(certificate), CERTIFICATE_FILE=str(certificate), KEY_FILE=str(key)
    )
    assert len(found.tls_context().get_ca_certs()) == 1


def test_certificate_that_cannot_be_read_is_a_settings_error(tmp_path):
    for name in ("CA_FILE", "CERTIFICATE_FILE"):
        with pytest.raises(SettingsError, match="certificates for Kafka"):
            security(TLS="true", **{name: str(tmp_path / "nothing.pem")}).tls_context()


def test_password_comes_from_a_file_and_shows_nowhere(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    found = security(TLS="true", SASL_MECHANISM="PLAIN", USERNAME="gw", PASSWORD_FILE=str(file))
    assert found.password.reveal() == "hunter2"
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"TLS": "yes"}, "expected true or false, got 'yes'"),
        ({"CA_FILE": "a.pem"}, "CA_FILE: has no effect without CLEARWAY_KAFKA_TLS"),
        ({"TLS": "true", "KEY_FILE": "k.pem"}, "KEY_FILE: needs CLEARWAY_KAFKA_CERTIFICATE_FILE"),
        ({"SASL_MECHANISM": "GSSAPI", "USERNAME": "u", "PASSWORD": "p"}, "one of PLAIN"),
        ({"SASL_MECHANISM": "SCRAM-SHA-256"}, "needs CLEARWAY_KAFKA_USERNAME"),
        ({"SASL_MECHANISM": "SCRAM-SHA-256", "USERNAME": "u"}, "PASSWORD_FILE"),
        ({"USERNAME": "u"}, "no effect without CLEARWAY_KAFKA_SASL_MECHANISM"),
        ({"SASL_MECHANISM": "PLAIN", "USERNAME": "u", "PASSWORD": "p"}, "set CLEARWAY_KAFKA_TLS"),
        (
            {"SASL_MECHANISM": "SCRAM-SHA-256", "USERNAME": "u", "PASSWORD": "p",
             "PASSWORD_FILE": "/nowhere"},
            "give one of them",
        ),
        ({"PASWORD": "p"}, "CLEARWAY_KAFKA_PASWORD is not known"),
    ],
)  # fmt: skip
def test_fault_names_the_variable_and_never_the_secret(given, complaint):
    with pytest.raises(SettingsError) as raised:
        security(**given)
    assert complaint in str(raised.value)
    assert "'p'" not in str(raised.value)


def test_all_faults_come_at_once():
    with pytest.raises(SettingsError) as raised:
        security(TLS="maybe", CA_FILE="a.pem", USERNAME="u")
    assert len(raised.value.faults) == 3


def section(folder: Path, lines: str) -> tuple[KafkaSecurity | None, list[str]]:
    file = folder / "gateway.toml"
    file.write_text(f"[log]\n{lines}\n")
    top, faults = open_toml(file)
    found = top.section("log")
    return security_from_section(found, folder), faults


def test_settings_file_says_where_certificates_lie_relative_to_itself(tmp_path):
    found, faults = section(
        tmp_path,
        'tls = true\nca_file = "tls/ca.pem"\ncertificate_file = "/etc/gw.pem"\n'
        'sasl_mechanism = "SCRAM-SHA-512"\nusername = "gw"\npassword_file = "secret"',
    )
    assert faults == []
    assert found.ca_file == tmp_path / "tls/ca.pem"
    assert found.certificate_file == Path("/etc/gw.pem")
    (tmp_path / "secret").write_text("hunter2\n")
    with_secret = with_password(found)
    assert with_secret.password.reveal() == "hunter2"
    assert "hunter2" not in repr(with_secret)


def test_settings_file_that_says_nothing_leaves_it_to_the_environment(tmp_path):
    assert section(tmp_path, 'address = "kafka://b:9092"') == (None, [])


def test_all_faults_of_the_settings_file_come_at_once_with_line_and_key_as_written(tmp_path):
    _, faults = section(
        tmp_path, 'ca_file = "a"\nkey_file = "k"\nsasl_mechanism = "GSSAPI"\nusername = 3'
    )
    told = "\n".join(faults)
    for part in (
        "line 2: log.ca_file: has no effect without log.tls",
        "line 3: log.key_file: has no effect without log.tls",
        "line 3: log.key_file: needs log.certificate_file",
        "line 4: log.sasl_mechanism: expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
        "line 4: log.sasl_mechanism: needs log.password_file",
        "line 5: log.username",
    ):
        assert part in told, part
    assert "CLEARWAY" not in told


def test_password_file_that_is_missing_is_named(tmp_path):
    found, _ = section(
        tmp_path, 'sasl_mechanism = "SCRAM-SHA-512"\nusername = "gw"\npassword_file = "nowhere"'
    )
    with pytest.raises(SettingsError, match=r"nowhere: log.password_file cannot be read"):
        with_password(found)


@pytest.mark.parametrize("address", ["kafka://", "localhost:9092", "redis://x", "kafka:/x:1"])
def test_address_that_is_no_log_is_wrong_use(address, tmp_path):
    with pytest.raises(UsageError, match="kafka://host:port"):
        open_log(address, tmp_path)


@pytest.mark.parametrize("address", ["", None])
def test_no_address_is_the_embedded_log_of_the_data_folder(address, tmp_path):
    log = open_log(address, tmp_path)
    log.close()
    assert (tmp_path / "log.sqlite").is_file()


def test_opening_a_kafka_log_opens_no_connection(tmp_path):
    open_log("kafka://203.0.113.1:9092,203.0.113.2:9092", tmp_path).close()
