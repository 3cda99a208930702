"""Front matter: a strict subset of YAML, everything as text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document import frontmatter
from task_queue.domain.document.frontmatter import Field
from task_queue.domain.errors import TaskFileError


def read(front: str) -> tuple[Field, ...]:
    fields, faults = frontmatter.read(front)
    if faults:
        raise TaskFileError.of(faults)
    return fields


def refusal(front: str) -> TaskFileError:
    with pytest.raises(TaskFileError) as caught:
        read(front)
    return caught.value


def test_a_document_is_split_at_the_two_lines() -> None:
    assert frontmatter.split("---\ntitle: a\n---\n# Body\n") == ("title: a\n", "# Body\n")


@pytest.mark.parametrize(
    "text",
    [
        "# Body\n---\ntitle: a\n---\n",
        " ---\ntitle: a\n---\n",
        "----\n",
        "--- # no\n",
        "\n---\ntitle: a\n---\n",
        "",
    ],
)
def test_a_document_that_does_not_start_with_the_line_has_no_front_matter(text: str) -> None:
    assert frontmatter.split(text) == (None, text)


def test_bom_crlf_and_trailing_blanks_are_tolerated() -> None:
    """What an editor on Windows saves is the same document."""
    assert frontmatter.split("\ufeff--- \r\ntitle: a\r\n---\t\r\nBody\r\n") == ("title: a\n", "Body\n")


def test_only_a_line_of_its_own_closes() -> None:
    front, body = frontmatter.split("---\ntitle: |\n  ---\n  x\n---\nbody")

    assert front == "title: |\n  ---\n  x\n"
    assert body == "body"


@pytest.mark.parametrize(
    "text", ["---", "---\n", "---\ntitle: a\n", "---\ntitle: a\n----\n", "---\na: b\n ---\n"]
)
def test_front_matter_that_is_not_closed_is_refused_where_it_begins(text: str) -> None:
    with pytest.raises(TaskFileError, match="not closed") as caught:
        frontmatter.split(text)

    assert caught.value.line == 1
    assert caught.value.hint


def test_empty_front_matter_has_no_keys() -> None:
    assert read("") == read("\n\n") == read("# only a comment\n") == read("{}") == ()


@pytest.mark.parametrize(
    "spelling",
    ["no", "yes", "on", "True", "null", "~", "1:30", "0755", "0o17", "0x1F", "1_000", "1e3", ".5", ".inf",
     "2026-02-07", "2026-02-07 12:00:00", "=", "1.0", "+1", "Bash(git diff *)", "a#b", "http://x:80/y"],
)  # fmt: skip
def test_oddities_of_yaml_keep_their_spelling(spelling: str) -> None:
    assert read(f"title: {spelling}\n") == (Field("title", spelling, 2),)
    assert read(f"title: '{spelling}'\n") == (Field("title", spelling, 2),)
    assert read(f"{spelling}: x\n")[0].key == spelling


@given(
    st.from_regex(r"\A[A-Za-z0-9_.+-]{1,20}\Z").filter(
        lambda word: not word.startswith("-") and word != "..."
    )
)
def test_every_plain_word_keeps_its_spelling(word: str) -> None:
    assert read(f"title: {word}\nverify: [{word}]\n") == (
        Field("title", word, 2),
        Field("verify", (word,), 3, (3,)),
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_single_quotes_keep_any_line_of_text(text: str) -> None:
    """What ``tasks add`` quotes comes back as it was (line separators apart, which YAML folds)."""
    text = "".join(text.split("\u2028")).replace("\u2029", "")
    quoted = text.replace("'", "''")
    try:
        entries = read(f"title: '{quoted}'\n")
    except TaskFileError as error:
        assert "control character" in str(error)  # noqa: PT017 - YAML's own idea of what is printable
    else:
        assert entries == (Field("title", text, 2),)


def test_lists_and_blocks_and_comments_and_lines() -> None:
    entries = read(
        "# why\nverify:\n  - make test\n  - 'a, b'\n\nallow: [Read, Edit]  # both\ntitle: >\n  a\n  b\n"
    )

    assert entries == (
        Field("verify", ("make test", "a, b"), 3, (4, 5)),
        Field("allow", ("Read", "Edit"), 7, (7, 7)),
        Field("title", "a b\n", 8),
    )


@pytest.mark.parametrize(
    ("front", "line", "said"),
    [
        ("just a sentence\n", 2, "not made of"),
        ("- a\n- b\n", 2, "not made of"),
        ("\n[a]\n", 3, "not made of"),
        ("null\n", 2, "not made of"),
        ("title\npriority: 3\n", 2, ""),
        ("title: a: b\n", 2, "mapping values are not allowed"),
        ("priority: 1\ntitle: 'a\n", 3, "quoted scalar"),
        ("title: [a, b\n", 2, "YAML"),
        ("a: 1\n\ttitle: x\n", 3, "YAML"),
        ("title: @x\n", 2, "cannot start any token"),
        ("title: a\npriority: 1\ntitle: b\n", 4, "given twice, first in line 2"),
        ("'no': a\nno: b\n", 3, "given twice"),
        ("a: &x 1\nb: *x\n", 2, "anchors"),
        ("a: 1\nb: *x\n", 3, "aliases"),
        ("verify:\n  - *x\n", 3, "aliases"),
        ("*x : 1\n", 2, "aliases"),
        ("&x a: 1\n", 2, "anchors"),
        ("&x\na: 1\n", 2, "anchors"),
        ("a: !!int 1\n", 2, "tags"),
        ("a: ! 1\n", 2, "tags"),
        ("a: !!python/object/apply:os.system [reboot]\n", 2, "tags"),
        ("!!map\na: 1\n", 2, "tags"),
        ("<<: {a: 1}\n", 2, "merge"),
        ("? [a, b]\n: c\n", 2, "plain word"),
        ("{a: 1}: b\n", 2, "plain word"),
        ("title:\n  a: b\n", 3, "nested"),
        ("verify: [a, [b]]\n", 2, "nested"),
        ("verify:\n  - a: b\n", 3, "nested"),
        ("a: 1\n...\nb: 2\n", 4, "YAML"),
        ('title: "a\\0b"\n', 2, "control character"),
        ('a: 1\ntitle: "\\uD800"\n', 3, "control character"),
        ("a: 1\ntitle: \x1b[2J\n", 3, "control character"),
        ('title: "\\UFFFFFFFF"\n', 1, "out of range"),
        ("%YAML 1." + "9" * 5000 + "\n", 1, "out of range"),
        ("a: '1\u20282'\nd: [x\n", 3, "YAML"),
    ],
)  # fmt: skip
def test_what_is_refused_names_the_line_of_the_document(front: str, line: int, said: str) -> None:
    error = refusal(front)

    assert error.line == line
    assert said in str(error)


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x, x, x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )

    assert "anchors" in str(refusal(bomb))


@pytest.mark.parametrize("bracket", ["[", "{", "- ", "? ", "[{"])
@pytest.mark.parametrize("prefix", ["", "title: "])
def test_deep_nesting_is_refused_quickly(bracket: str, prefix: str) -> None:
    """32,000 opening brackets kill the C parser; ours neither recurses nor takes long."""
    began = time.thread_time()
    for front in (prefix + bracket * 32_000, prefix + (bracket * 16_000)[: frontmatter.MAX_BYTES - 10]):
        refusal(front)

    assert time.thread_time() - began < 10


def test_limits_on_size_and_number_of_keys() -> None:
    allowed = "".join(f"k{n}: x\n" for n in range(frontmatter.MAX_KEYS))
    comment = "#" * (frontmatter.MAX_BYTES - 1) + "\n"

    assert len(read(allowed)) == frontmatter.MAX_KEYS
    assert read(comment) == ()
    assert refusal(allowed + "more: x\n").line == frontmatter.MAX_KEYS + 2
    assert "more than 16384" in str(refusal("#" + comment))
    assert "more than 16384" in str(refusal("#" + "é" * (frontmatter.MAX_BYTES // 2)))


def test_all_faults_are_found_and_the_rest_is_read() -> None:
    """What cannot be used is passed over, with its lines; only YAML that cannot be followed ends the reading."""
    front = """priority: 1
priority: 2
deny: *all
labels:
  colour: {deep: [x]}
title: Right
allow: [Read, [x]]
timeout: "2h
"""

    fields, faults = frontmatter.read(front)

    assert [field.key for field in fields] == ["priority", "title"]
    assert [(fault.line, fault.hint is not None) for fault in faults] == [
        (3, False),
        (4, True),
        (6, True),
        (8, True),
        (9, True),
    ]


YAMLISH = st.text(
    st.sampled_from("ab:- \n\t'\"[]{}?!&*#|>%@`,=.0<~\\xuU\u2028\ufeff\x85\x00é\ud800"), max_size=60
)


@given(st.one_of(YAMLISH, st.text(max_size=60)))
def test_nothing_but_a_task_file_error_is_raised(front: str) -> None:
    try:
        keys = [entry.key for entry in read(front)]
    except TaskFileError as error:
        keys, line = [], error.line or 0
    else:
        line = 1

    assert line >= 1
    assert len(set(keys)) == len(keys)
