"""Every variable is secret unless it is known to be harmless; texts without their values stay readable."""

from __future__ import annotations

import pytest

from task_queue.domain.secrets import is_secret, redacted, secrets_in, without_secrets

GIVEN = {
    "GITHUB_PAT": "ghp_abcdefgh",
    "MYSQL_PWD": "swordfish",
    "SENTRY_DSN": "https://0123abcd@o1.sentry.example/42",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Gateway: gw-13579\nAuthorization: Bearer bearer-24680",
    "PIP_INDEX_URL": "https://me:24681357@index.example/simple",
    "SSH_AUTH_SOCK": "/run/user/1000/agent",
    "JUST_A_NAME": "says-nothing",
    "PGPASSFILE_TEXT": 'quoted "text"',
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_variable_is_secret_whatever_its_name(name: str) -> None:
    """Checks do not get it, and no file has its value, not even inside of JSON text."""
    env = {"PATH": "/usr/bin", name: GIVEN[name]}
    nested = redacted({"input": [f"x{GIVEN[name]}x"], GIVEN[name] + "1": 1}, secrets_in(env))

    assert without_secrets(env) == {"PATH": "/usr/bin"}
    assert GIVEN[name] not in str(nested)


@pytest.mark.parametrize(
    "part", ["0123abcd", "gw-13579", "bearer-24680", "24681357", 'quoted \\"text\\"', "X-Gateway: gw-13579"]
)
def test_parts_of_a_value_are_secret_by_themselves(part: str) -> None:
    """Logins of URLs, lines, headers; and as they are spelled in JSON."""
    assert part not in redacted(f"seen: {part}.", secrets_in(GIVEN))


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("PATH", "/usr/bin:/bin", False),
        ("LC_ALL", "de_DE.UTF-8", False),
        ("https_proxy", "http://proxy.example:3128", False),
        ("https_proxy", "http://me:pass-word@proxy.example:3128", True),
        ("ANTHROPIC_BASE_URL", "https://gateway.example", False),
        ("ANTHROPIC_BASE_URL", "https://key-of-it@gateway.example", True),
        ("ANTHROPIC_SMALL_FAST_MODEL", "claude-haiku", False),
        ("PATHS", "x", True),
        ("path", "x", True),
    ],
)
def test_few_names_are_harmless(name: str, value: str, secret: bool) -> None:
    """Exactly as they are written; with a login in a URL they are not."""
    assert is_secret(name, value) is secret


@pytest.mark.parametrize(
    "value", ["1", "true", "false", "debug", "600000", "3.14", "/srv/data", "~/data", "/srv/a:/srv/b", "./x"]
)
def test_ordinary_values_stay_in_texts(value: str) -> None:
    """Else every transcript would be full of gaps. Checks do not get them either."""
    assert secrets_in({"SOME_SETTING": value}) == ()
    assert without_secrets({"SOME_SETTING": value}) == {}


@pytest.mark.parametrize("value", ["600000", "/srv/data"])
def test_a_name_that_says_secret_is_believed(value: str) -> None:
    assert value in secrets_in({"DB_PASSWORD": value})


def test_a_word_does_not_break_what_the_queue_reads_back() -> None:
    """A password may be a word that every frame holds."""
    secrets = secrets_in({"DB_PASSWORD": "assistant", "OTHER": "content", "MORE": "12345678"})
    frame = {"type": "assistant", "content": [{"text": "the assistant has content"}], "number": 12345678}

    assert redacted(frame, secrets) == {
        "type": "assistant",
        "content": [{"text": "the [redacted] has [redacted]"}],
        "number": 12345678,
    }
