"""Builds the Cython extensions; metadata stands in pyproject.toml.

Environment: PYMAILD_BUILD=debug (annotated, linetraced) or asan (AddressSanitizer);
EXT=pymaild.mime._scan builds that one module alone. What only measures (bench) is built in place
and never installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

KIND = os.environ.get("PYMAILD_BUILD", "release")
ONLY = os.environ.get("EXT")
ROOTS = ("pymaild", "bench") if "--inplace" in sys.argv else ("pymaild",)
FLAGS = {
    "release": (["-O2", "-Wall", "-Werror=incompatible-pointer-types"], []),
    "debug": (["-O0", "-g", "-DCYTHON_TRACE=1", "-DCYTHON_TRACE_NOGIL=1"], []),
    "asan": (["-O1", "-g", "-fsanitize=address"], ["-fsanitize=address"]),
}


def extensions() -> list[Extension]:
    """One extension for each .pyx below the package."""
    compile_args, link_args = FLAGS[KIND]
    modules = {
        ".".join(path.with_suffix("").parts): str(path)
        for root in ROOTS
        for path in Path(root).rglob("*.pyx")
    }
    return [
        Extension(name, [path], extra_compile_args=compile_args, extra_link_args=link_args)
        for name, path in sorted(modules.items())
        if ONLY in (None, name)
    ]


setup(
    ext_modules=cythonize(
        extensions(),
        build_dir=f"build/cython-{KIND}" + (f"-{ONLY}" if ONLY else ""),
        annotate=KIND == "debug",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "linetrace": KIND == "debug",
        },
    )
)
