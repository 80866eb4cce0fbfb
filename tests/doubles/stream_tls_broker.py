"""A real Kafka that asks who is there: client certificates, SCRAM and PLAIN, over TLS."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from doubles.stream_certificates import DAY, Authority
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from clearway_broker.artifacts import install
from clearway_broker.java import find_java
from clearway_broker.server import HOST, Broker, free_port
from clearway_core.settings import Secret
from clearway_core.stream.security import KafkaSecurity

USER, PASSWORD = "gw-017", "correct horse"

_SETTINGS = """
listeners=PLAINTEXT://{{host}}:{{port}},CONTROLLER://{{host}}:{{controller_port}},\
CERTIFICATE://{{host}}:{certificate},PASSWORD://{{host}}:{password},ELSEWHERE://{{host}}:{elsewhere}
advertised.listeners=PLAINTEXT://{{host}}:{{port}},\
CERTIFICATE://{{host}}:{certificate},PASSWORD://{{host}}:{password},ELSEWHERE://{{host}}:{elsewhere}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
CERTIFICATE:SSL,PASSWORD:SASL_SSL,ELSEWHERE:SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.elsewhere.ssl.keystore.type=PEM
listener.name.elsewhere.ssl.keystore.location={other_keystore}
listener.name.certificate.ssl.client.auth=required
listener.name.password.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.password.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.password.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{secret}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""


@dataclass(frozen=True, kw_only=True)
class TlsBroker:
    """A running broker and who may use it.

    Parameters
    ----------
    by_certificate, by_password, elsewhere
        ``host:port`` that asks for a certificate, for user and password, and one whose own
        certificate is for another host.
    """

    broker: Broker
    authority: Authority
    stranger: Authority
    by_certificate: str
    by_password: str
    elsewhere: str

    def with_certificate(
        self, name: str = "gw-017", *, valid_for: timedelta = DAY, by: Authority | None = None
    ) -> KafkaSecurity:
        """Return the security of a gateway that has a certificate."""
        files = (by or self.authority).issue(name, valid_for=valid_for)
        return KafkaSecurity(
            tls=True, ca_file=self.authority.file, certificate_file=files[0], key_file=files[1]
        )

    def with_password(
        self, password: str = PASSWORD, *, mechanism: str = "SCRAM-SHA-512"
    ) -> KafkaSecurity:
        """Return the security of a gateway that has a password."""
        return KafkaSecurity(
            tls=True,
            ca_file=self.authority.file,
            sasl_mechanism=mechanism,
            username=USER,
            password=Secret(password),
        )

    def allow(self, topic: str, user: str) -> None:
        """Let a user write to a topic, and from now on nobody who is not allowed."""
        admin = KafkaAdminClient(bootstrap_servers=[self.broker.bootstrap])
        rule = ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation.ALL,
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(ResourceType.TOPIC, topic),
        )
        try:
            assert not admin.create_acls([rule])["failed"]
        finally:
            admin.close()


def tls_broker(folder: Path) -> TlsBroker:
    """Start one; its broker must be killed at the end."""
    authority, stranger = Authority(folder / "agency"), Authority(folder / "stranger", "stranger")
    ports = {name: free_port() for name in ("certificate", "password", "elsewhere")}
    settings = _SETTINGS.format(
        **ports,
        keystore=_keystore(authority, "broker", addresses=(HOST,)),
        other_keystore=_keystore(authority, "kafka.example.org", hosts=("kafka.example.org",)),
        truststore=authority.file,
        user=USER,
        secret=PASSWORD,
    )
    broker = Broker(
        folder / "data",
        install(os.environ),
        find_java(os.environ),
        more_settings=settings,
        format_options=("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
    )
    broker.start()
    return TlsBroker(
        broker=broker,
        authority=authority,
        stranger=stranger,
        by_certificate=f"{HOST}:{ports['certificate']}",
        by_password=f"{HOST}:{ports['password']}",
        elsewhere=f"{HOST}:{ports['elsewhere']}",
    )


def _keystore(authority: Authority, name: str, **names: tuple[str, ...]) -> Path:
    certificate, key = authority.issue(name, **names)
    store = certificate.with_suffix(".store.pem")
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    return store
