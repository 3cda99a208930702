"""A key that waits for its passphrase is told at once, with what to do."""

from __future__ import annotations

import pytest

from task_queue.domain.errors import GitError
from task_queue.git.signing import require_signing
from tests.git.conftest import Scratch

_SIGNS = (
    "cat > /dev/null; echo '[GNUPG:] SIG_CREATED D' >&2; echo '-----BEGIN PGP SIGNATURE-----';"
    " echo '-----END PGP SIGNATURE-----'"
)


def signing_with(scratch: Scratch, script: str) -> None:
    program = scratch.root.parent / "gpg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    scratch.run("config", "gpg.program", str(program))
    scratch.run("config", "commit.gpgSign", "true")


def test_a_key_that_is_unlocked_signs(scratch: Scratch) -> None:
    signing_with(scratch, _SIGNS)
    before = scratch.run("for-each-ref")

    require_signing(scratch.git)

    assert scratch.run("for-each-ref") == before


def test_without_signing_nothing_is_asked(scratch: Scratch) -> None:
    signing_with(scratch, "exit 1")
    scratch.run("config", "commit.gpgSign", "false")

    require_signing(scratch.git)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("sleep 1000", "did not end within 1 s"),
        ("echo 'gpg: no pinentry' >&2; exit 2", "that failed: error: gpg failed to sign the data"),
    ],
    ids=["waits", "fails"],
)
def test_a_key_that_waits_or_fails_says_what_to_do(scratch: Scratch, script: str, said: str) -> None:
    signing_with(scratch, script)

    with pytest.raises(GitError, match=said) as caught:
        require_signing(scratch.git, within_s=1)
    assert "unlock the key" in (caught.value.hint or "")
