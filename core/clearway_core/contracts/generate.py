"""Write what is derived from the contracts: ``python -m clearway_core.contracts.generate``.

Takes one argument, the folder; left out, ``docs/contracts`` below the current folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clearway_core.contracts.dictionary import dictionary
from clearway_core.contracts.json_schema import json_schema
from clearway_core.contracts.wire import WIRE_CONTRACTS

DEFAULT_FOLDER = Path("docs") / "contracts"


def generated_files() -> dict[str, str]:
    """Return the text of each generated file by its name."""
    files = {
        f"{contract.name}-{contract.version}.schema.json": json.dumps(
            json_schema(contract), indent=2, ensure_ascii=False
        )
        + "\n"
        for contract in WIRE_CONTRACTS.values()
    }
    return files | {"dictionary.md": dictionary()}


def main(arguments: list[str]) -> None:
    """Write all generated files into the folder."""
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated_files().items():
        (folder / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
