"""The attacks of ``docs/security.md``, each by its test: as an owner without privileges, and against another user.

First every test of the table as a user of its own, then as root those that need to be two users, then the fuzzers.
``python -m tests.proof.security [--short]``: without the tests that are marked as long.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.acceptance.rig import ROOT
from tests.house.tables import table_in
from tests.users import as_user, why_no_other_users

OWNER = 65533
_OF_TWO_USERS = (
    "tests/security/test_another_user.py",
    "tests/security/test_trust.py",
    "tests/platform/test_trust.py",
    "tests/store/test_folder.py::test_what_is_no_document_is_reported_and_left_alone",
)
_FUZZERS = ("tests.proof.readonly_fuzz",)
_TEST = re.compile(r"`(tests/[^`]+::[^`]+)`")


def named_in_the_table() -> list[str]:
    """Each once, in the order of the table."""
    return list(
        dict.fromkeys(
            found for row in table_in("contributing/tests.md", "attack") for found in _TEST.findall(row[1])
        )
    )


def run(tests: list[str], *, folder: Path, prefix: tuple[str, ...] = (), short: bool) -> int:
    """The exit code of pytest. Its environment is built: nothing of ours reaches it but the PATH."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    words = [
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={folder / 'tests'}",
        *(["-m", "not long"] if short else []),
    ]
    command = [*prefix, sys.executable, "-B", "-m", "pytest", *words, *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    why_not = why_no_other_users(OWNER)
    folder = Path(tempfile.mkdtemp(prefix="tq-"))
    codes: list[int] = []
    try:
        if why_not is None:
            os.chown(folder, OWNER, OWNER)
            print(f"the attacks, as user {OWNER}", flush=True)
            codes.append(run(named_in_the_table(), folder=folder, prefix=as_user(OWNER), short=short))
            print("the attacks of one user on another", flush=True)
            (folder / "root").mkdir()
            codes.append(run(list(_OF_TWO_USERS), folder=folder / "root", short=short))
        else:
            print(f"the attacks, as this user; no other users: {why_not}", flush=True)
            codes.append(run(named_in_the_table(), folder=folder, short=short))
        for name in (name for name in _FUZZERS if importlib.util.find_spec(name) is not None):
            print(name, flush=True)
            codes.append(subprocess.run([sys.executable, "-m", name], cwd=ROOT, check=False).returncode)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
