"""Files that tools leave wherever they run: caches, coverage, installed packages. Pure; decides from names alone."""

from __future__ import annotations

from collections.abc import Iterable

FOLDERS = (
    *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox", ".nox", ".venv", ".eggs"),
    *("node_modules", ".nyc_output", ".gradle", ".ipynb_checkpoints", "htmlcov"),
)
FILES = (".coverage", ".DS_Store")
ENDINGS = (".pyc", ".pyo", ".egg-info")
MARKERS = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})
"""A file of that name says that its folder is a virtual environment, or a cache (bford.info/cachedir)."""

PATTERNS = (*(f"{name}/" for name in FOLDERS), *FILES, ".coverage.*", *(f"*{ending}" for ending in ENDINGS))
"""The same names as gitignore(5) spells them."""


def marked_folders(untracked: Iterable[str]) -> frozenset[str]:
    """The folders that a marker says to be by-products, never the root itself."""
    split = (path.rpartition("/") for path in untracked)
    return frozenset(folder for folder, _, name in split if folder and name in MARKERS)


def by_product_of(path: str, marked: frozenset[str]) -> str | None:
    """The first folder on the way to *path* that is a by-product, or *path* itself; None where none is."""
    parts = path.split("/")
    for number, name in enumerate(parts, 1):
        place = "/".join(parts[:number])
        if place in marked or (number < len(parts) and name in FOLDERS) or name.endswith(ENDINGS):
            return place
    is_file = parts[-1] in FILES or parts[-1].startswith(".coverage.")
    return path if is_file else None
