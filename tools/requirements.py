"""Prints what pyproject.toml asks for, a line each: `requirements.py [EXTRA]`."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
wanted = project["optional-dependencies"][sys.argv[1]] if sys.argv[1:] else project["dependencies"]
print("\n".join(wanted))
