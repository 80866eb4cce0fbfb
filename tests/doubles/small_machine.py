"""The gateway's command on a machine on which packages are missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable

_WITHOUT = """
import sys
ABSENT = set(sys.argv.pop(1).split())
sys.argv[0] = "clearway-gateway"
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from clearway_edge.main import main
main()
"""


def gateway_without(packages: Iterable[str], *arguments: object) -> list[str]:
    """Return a command that runs `clearway-gateway` where these packages cannot be imported."""
    return [sys.executable, "-c", _WITHOUT, " ".join(packages), *map(str, arguments)]
