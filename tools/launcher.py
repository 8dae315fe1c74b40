"""Prints an installed command: `launcher.py LIBRARY CONFIG MODULE`.

The interpreter is the one below the virtual environment, which compiled the extensions. It runs
isolated (-I): nothing from the caller's environment or home directory is imported.
"""

import sys

library, config, module = sys.argv[1:]
interpreter = getattr(sys, "_base_executable", sys.executable)
print(
    f"""#!{interpreter} -I
import os
import sys

sys.path.insert(0, {library!r})
os.environ.setdefault("PYMAILD_CONFIG", {config!r})

from pymaild.admin.{module} import main

sys.exit(main())"""
)
