"""From bytes to a task: every bad document is one TaskFileError."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document import taskfile
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import Task, TaskId

ID = TaskId("task-a")


def parse(text: str | bytes) -> Task:
    return taskfile.parse(text.encode() if isinstance(text, str) else text, ID)


def refusal(text: str | bytes) -> TaskFileError:
    with pytest.raises(TaskFileError) as caught:
        parse(text)
    return caught.value


def test_a_document_becomes_a_task() -> None:
    data = b"---\npriority: 7\nverify: make test\n---\n# Fix the login\n\nIt is broken.\n"

    assert parse(data) == Task(
        id=ID,
        title="Fix the login",
        body="# Fix the login\n\nIt is broken.\n",
        given={"priority": 7, "verify": ("make test",)},
        sha256=hashlib.sha256(data).hexdigest(),
        lines={"priority": 2, "verify": 3},
    )


def test_crlf_and_bom_change_nothing_but_the_digest() -> None:
    plain = parse("---\ntitle: a\n---\nb\nc\n")
    windows = parse("\ufeff---\r\ntitle: a\r\n---\r\nb\r\nc\r\n")

    assert (windows.title, windows.body, windows.given) == (plain.title, plain.body, plain.given)
    assert windows.sha256 != plain.sha256


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("# One\n# Two\n", "One"),
        ("text first\n\n## Two ##\n", "Two"),
        ("```sh\n# a comment\n```\n# Real\n", "Real"),
        ("~~~~\n# a\n~~~\n# b\n~~~~\n# Real\n", "Real"),
        ("```\n# never closed\n", "```"),
        ("    # indented code\n# Real\n", "Real"),
        ("#hashtag\n####### seven\n", "#hashtag"),
        ("Underlined\n==========\n# Later\n", "Underlined"),
        ("\n\n  Just   do\tit  \nsecond\n", "Just do it"),
        ("# \nfirst words\n", "#"),
        ("#\t C# and F#\n", "C# and F#"),
        ("y" * 300, "y" * 80),
        ("# " + "z" * 300, "z" * 80),
        ("``` inline ``` is no fence\n# Real\n", "Real"),
    ],
)  # fmt: skip
def test_the_title_is_the_first_heading_else_the_first_line(body: str, title: str) -> None:
    assert parse(body).title == title


def test_the_title_key_wins() -> None:
    assert parse("---\ntitle: 'no'\n---\n# Heading\n").title == "no"


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_document_is_refused(data: bytes) -> None:
    assert "empty" in str(refusal(data))


@pytest.mark.parametrize("text", ["---\ntitle: x\n---", "---\ntitle: x\n---\n \n", "---\n---\n"])
def test_front_matter_alone_is_nothing_to_do(text: str) -> None:
    assert "no text" in str(refusal(text))


def test_invalid_utf8_names_byte_and_line() -> None:
    error = refusal(b"first\nsecond \xe9t\xe9\n")

    assert str(error) == "line 2: byte 13 (0xe9) is not valid UTF-8"
    assert error.hint


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b"\xff", 1, "byte 0"),
        (b"a\n\xed\xa0\x80", 2, "byte 2 "),
        (b"a\nb\n\xe2\x82", 3, "byte 4 "),
        (b"\xc0\xaf", 1, "byte 0 "),
        ("a\n".encode("utf-16"), 1, "UTF-16"),
        (b"a\nb\0c", 2, "byte 3 is NUL"),
        (b"---\ntitle: a\n", 1, "not closed"),
        (b"---\n- a\n---\nx", 2, "not made of"),
        (b"---\ntitle: a\ntitle: b\n---\nx", 3, "twice"),
        (b"---\na: &a [x]\nb: [*a, *a]\n---\nx", 2, "anchors"),
        (b"---\r\n\r\nprioritty: 1\r\n---\r\nx", 3, "did you mean 'priority'"),
        (b"---\npriority: 11\n---\nx", 2, "whole number from 1 to 10"),
    ],
)
def test_what_is_refused_names_the_line(data: bytes, line: int, said: str) -> None:
    error = refusal(data)

    assert error.line == line
    assert said in str(error)


def test_every_fault_of_a_document_is_named_at_once() -> None:
    """In the order of the lines: who corrects the first should not meet the next on the second try."""
    error = refusal(b"---\npriorty: 1\ntimeout: soon\nallow: [Read(, 7]\nlanding: mrge\n---\n")

    assert [fault.line for fault in error.faults] == [None, 2, 3, 4, 5]
    assert [str(fault).partition(": ")[2][:14] for fault in error.faults[1:]] == [
        "unknown key 'p",
        "timeout: must ",
        "allow: 'Read('",
        "landing: must ",
    ]
    assert "'7' is not a permission rule" in str(error.faults[3])
    assert str(error) == "; ".join(map(str, error.faults))


def test_several_faults_of_one_class_stay_of_that_class() -> None:
    """Who handles a kind of fault handles several of it."""

    class OfOwnerError(TaskFileError):
        pass

    assert type(TaskFileError.of([OfOwnerError("a"), OfOwnerError("b")])) is OfOwnerError
    assert type(TaskFileError.of([OfOwnerError("a"), TaskFileError("b")])) is TaskFileError


def test_of_very_many_faults_the_first_are_named() -> None:
    """A result with its evidence stays readable."""
    error = refusal(("---\n" + "".join(f"k{n}: x\n" for n in range(60)) + "---\nx").encode())

    assert len(error.faults) == 21
    assert str(error.faults[-1]) == "and 40 more faults"


def test_a_document_over_the_limit_is_refused_before_it_is_read() -> None:
    """50 MB cost no more than looking at the length."""
    huge = b"x" * 50_000_000
    began = time.thread_time()

    assert "50000000 bytes" in str(refusal(huge))
    assert time.thread_time() - began < 0.1
    assert parse(b"x" * taskfile.MAX_BYTES).title == "x" * 80


@pytest.mark.parametrize(
    "text",
    [
        "# " + " " * 1_000_000 + "x",
        "# " + "# " * 500_000,
        "\n" * 1_000_000 + "x",
        "=\n" * 500_000,
        "```\n" * 250_000,
        "#" * 1_000_000,
        "---\n" * 250_000,
    ],
    ids=["blanks", "closing marks", "blank lines", "underlines", "fences", "marks", "rules"],
)
def test_no_document_takes_long(text: str) -> None:
    began = time.thread_time()
    with suppress(TaskFileError):
        parse(text)

    assert time.thread_time() - began < 5


def test_a_document_without_front_matter_does_without_yaml() -> None:
    """The import alone costs more than most documents."""
    program = (
        "import sys; from task_queue.domain.document import taskfile;"
        "taskfile.parse(b'# Hi', 'task-a'); sys.exit('yaml' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


MARKDOWN = st.text(st.sampled_from("-#`~=: \n\r\tab[]{}&*!'\"|>\ufeff\0é"), max_size=200)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
        MARKDOWN.map(str.encode),
        MARKDOWN.map(lambda text: b"---\n" + text.encode() + b"\n---\nx"),
    )
)
def test_arbitrary_bytes_raise_nothing_but_a_task_file_error(data: bytes) -> None:
    try:
        task = parse(data)
    except TaskFileError as error:
        assert error.line is None or error.line >= 1  # noqa: PT017 - either way of ending is right
    else:
        assert task.title.strip()
        assert task.body.strip()
        assert "\n" not in task.title
