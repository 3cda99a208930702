"""What a comparison of two looks at a folder says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.work.folder_changes import changes_between_looks

_LOOKS = st.dictionaries(st.text("abc/", min_size=1, max_size=3), st.tuples(*(st.integers(0, 2),) * 3))


@given(_LOOKS, _LOOKS)
def test_each_difference_is_named_once(
    before: dict[str, tuple[int, int, int]], now: dict[str, tuple[int, int, int]]
) -> None:
    found = {file.path: file.change for file in changes_between_looks(before, now).paths}

    assert found == {
        path: "new" if path not in before else "deleted" if path not in now else "changed"
        for path in sorted({*before, *now})
        if before.get(path) != now.get(path)
    }


def test_the_first_hundred_are_listed_and_all_are_counted() -> None:
    changes = changes_between_looks({"b": (1, 1, 1)}, {f"a{number:03}": (0, 0, 0) for number in range(120)})

    assert changes.summary == "files, by size and time: 120 new, 1 deleted"
    assert (len(changes.paths), len(changes.files), changes.cut) == (121, 100, True)
    assert changes.patch.startswith("new: a000\n")


def test_nothing_changed() -> None:
    changes = changes_between_looks({"a": (1, 1, 1)}, {"a": (1, 1, 1)})

    assert (changes.summary, changes.patch) == ("files, by size and time: no changes", "")
