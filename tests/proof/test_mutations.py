"""The deliberate breakages of ``make proof-mutations`` still fit the code they break."""

from __future__ import annotations

import pytest

from tests.proof.mutation import Mutation
from tests.proof.mutations import MUTATIONS, ROOT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_can_be_applied(mutation: Mutation) -> None:
    """A change of the code that moves what is broken would otherwise show only in the long proof."""
    assert mutation.old in (ROOT / mutation.file).read_text()
    assert mutation.old != mutation.new
