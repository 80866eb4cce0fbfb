"""Which log an address means."""

from __future__ import annotations

import os
from pathlib import Path

from clearway_core.data_dir import DataDir
from clearway_core.errors import UsageError
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Log
from clearway_core.stream.security import KafkaSecurity, security_from_environment

KAFKA_SCHEME = "kafka://"


def open_log(address: str | None, data_dir: Path, *, security: KafkaSecurity | None = None) -> Log:
    """Return the log at the address; without one, the embedded log of the data folder.

    Parameters
    ----------
    address
        ``kafka://host:port[,host:port…]``, or None or empty for the embedded log.
    data_dir
        The installation's data folder.
    security
        TLS and SASL for Kafka; left out, as the ``CLEARWAY_KAFKA_*`` variables of this process say.

    Raises
    ------
    UsageError
        If the address is neither, or the security settings have faults.
    """
    if not address:
        return EmbeddedLog(DataDir(data_dir).log_file)
    if address.startswith(KAFKA_SCHEME) and len(address) > len(KAFKA_SCHEME):
        from clearway_core.stream.kafka import KafkaLog  # noqa: PLC0415 -- only where it is used

        return KafkaLog(
            address.removeprefix(KAFKA_SCHEME).split(","),
            # Here and not in every command: no stage can forget to encrypt.
            security=security or security_from_environment(os.environ),
        )
    message = (
        f"a log address looks like kafka://host:port, got {address!r}; "
        "leave --log and CLEARWAY_LOG out to use the embedded log"
    )
    raise UsageError(message)
