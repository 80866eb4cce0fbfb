"""Write the secrets that docker-compose.yml reads into ./secrets; existing ones stay.

Needs nothing but Python. Run it by `make secrets`.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
from pathlib import Path

FOLDER = Path("secrets")


def texts() -> dict[str, str]:
    """Return file name -> content of a fresh set of secrets that fit together."""
    postgres_password = secrets.token_urlsafe(24)
    access_key, secret_key = secrets.token_hex(10), secrets.token_urlsafe(30)
    identity = {
        "name": "clearway",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    database = f"postgresql+psycopg2://airflow:{postgres_password}@postgres/airflow"
    return {
        "postgres_password": postgres_password,
        "airflow_database": database,
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "airflow_jwt_secret": secrets.token_urlsafe(64),
        "airflow_api_key": secrets.token_urlsafe(64),
        "airflow_admin_password": secrets.token_urlsafe(16),
        "lake_s3.json": json.dumps({"identities": [identity]}),
        "lake.env": f"AWS_ACCESS_KEY_ID={access_key}\nAWS_SECRET_ACCESS_KEY={secret_key}\n",
    }


def main() -> int:
    """Write what is missing as one set, and say so; a partial set is an error."""
    wanted = texts()
    present = [name for name in wanted if (FOLDER / name).exists()]
    if len(present) == len(wanted):
        sys.stdout.write(f"{FOLDER}/ is complete; nothing changed.\n")
        return 0
    if present:
        missing = ", ".join(sorted(set(wanted) - set(present)))
        sys.stderr.write(
            f"error: {FOLDER}/ holds part of a set; missing: {missing}. The parts belong together: "
            "restore them, or move the folder away and run this again.\n"
        )
        return 1
    # The folder is closed to others; the files are readable inside the containers, whose user
    # has another number than yours.
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    FOLDER.chmod(0o700)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        (FOLDER / name).chmod(0o644)
    sys.stdout.write(
        f"Wrote {len(wanted)} secrets to {FOLDER}/. Keep them out of version control and in your "
        f"backup.\nAirflow: user admin, password in {FOLDER}/airflow_admin_password\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
