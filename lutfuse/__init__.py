"""Batch exposure fusion of brackets.

The import is fast: torch and Beam are only imported by the modules that use them.
"""


def __getattr__(name: str) -> str:
    # Imported late: importlib.metadata takes longer to load than the rest of this package.
    if name == "__version__":
        from importlib.metadata import version

        return version("lutfuse")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
