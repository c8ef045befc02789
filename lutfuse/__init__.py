"""Batch exposure fusion of brackets.

The import is fast: torch and Beam are only imported by the modules that use them.
"""

from pkgutil import extend_path

# Started in a checkout, Python finds this folder first, which has none of the modules. They are where the
# package is installed, further along the path.
__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> str:
    # Imported late: importlib.metadata takes longer to load than the rest of this package.
    if name == "__version__":
        from importlib.metadata import version

        return version("lutfuse")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
