"""The attacks of ``docs/security.md``, each by its test: as an owner without privileges, and against another user.

First every test of the table as a user of its own, then as root those that need to be two users, then the fuzzers.
``python -m tests.proof.security [--short]``: only those that start no process of the queue, some seconds.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
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
_QUICK = (
    "tests/agents/test_closed_places.py",
    "tests/config/",
    "tests/domain/",
    "tests/platform/",
    "tests/store/",
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


def run(tests: list[str], *, folder: Path, short: bool, prefix: tuple[str, ...] = ()) -> int:
    """The exit code of pytest. Its environment is built: nothing of ours reaches it but the PATH."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    words = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}"]
    words += ["-m", "not long"] if short else []
    command = [*prefix, sys.executable, "-B", "-m", "pytest", *words, *tests]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


@contextmanager
def of_its_own() -> Generator[Path, None, None]:
    """A folder that is below no folder of another user: all in such a one is untrusted."""
    folder = Path(tempfile.mkdtemp(prefix="tq-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    attacks = named_in_the_table()
    of_two_users: list[str] = list(_OF_TWO_USERS)
    if short:
        attacks = [test for test in attacks if test.startswith(_QUICK)]
        of_two_users = [test for test in of_two_users if test.startswith(_QUICK)]
    why_not = why_no_other_users(OWNER)
    codes: list[int] = []
    with of_its_own() as folder:
        if why_not is None:
            os.chown(folder, OWNER, OWNER)
            print(f"the attacks, as user {OWNER}", flush=True)
        else:
            print(f"the attacks, as this user; no other users: {why_not}", flush=True)
        codes.append(
            run(attacks, folder=folder, short=short, prefix=as_user(OWNER) if why_not is None else ())
        )
    if why_not is None:
        with of_its_own() as folder:
            folder.chmod(0o755)  # the other user has to get to what is open to him
            print("the attacks of one user on another", flush=True)
            codes.append(run(of_two_users, folder=folder, short=short))
    for name in () if short else _FUZZERS:
        print(name, flush=True)
        codes.append(subprocess.run([sys.executable, "-m", name], cwd=ROOT, check=False).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
