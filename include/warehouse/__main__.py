"""The child process of `run_dbt`: `python -m include.warehouse <arguments.json>` runs dbt once in this process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dbt.cli.main import dbtRunner


def main(arguments_file: Path) -> int:
    """Run dbt with the arguments in the file, a JSON list. Returns 0, or 1 when a node failed and 2 when dbt did."""
    outcome = dbtRunner().invoke(json.loads(arguments_file.read_text()))
    if outcome.exception is not None:
        sys.stderr.write(f"{outcome.exception}\n")
        return 2
    return 0 if outcome.success else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
