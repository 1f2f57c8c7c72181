"""Where and with what a benchmark ran, and its rows as a file: what every table here needs."""

import csv
import importlib.metadata
import json
import os
import platform


def setting(*packages):
    """Threads, machine and versions, for the line above a table."""
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return f"OMP_NUM_THREADS={threads} {platform.machine()} {versions}"


def write(path, about, fields, rows):
    """Rows as .json, with the line about them, or as .csv."""
    if path.suffix == ".json":
        path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
