"""A port for each checkout."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from task_queue.platform.network_ports import port_for


def directories(folder: Path, count: int) -> list[Path]:
    found = [folder / f"checkout-{number}" for number in range(count)]
    for path in found:
        path.mkdir()
    return found


def test_no_two_checkouts_have_the_same(tmp_path: Path) -> None:
    """Also where many ask at once; each keeps its own."""
    checkouts, register = directories(tmp_path, 20), tmp_path / "state" / "ports.json"
    with ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(lambda each: port_for(each, register), checkouts))

    assert len(set(ports)) == 20
    assert None not in ports
    assert [port_for(each, register) for each in checkouts] == ports


def test_the_port_of_another_checkout_is_not_given(tmp_path: Path) -> None:
    """Although it would be the first to be tried, and nothing listens there."""
    (checkout, other), register = directories(tmp_path, 2), tmp_path / "ports.json"
    first = port_for(checkout, tmp_path / "another.json")
    register.write_text(json.dumps({str(other): first}))

    assert port_for(checkout, register) not in (None, first)


def test_a_port_on_which_another_program_listens_is_not_given(tmp_path: Path) -> None:
    (checkout,), register = directories(tmp_path, 1), tmp_path / "ports.json"
    port = port_for(checkout, register)
    assert port is not None
    with socket.create_server(("127.0.0.1", port)):
        other = port_for(checkout, register)

    assert other not in (None, port)


def test_the_port_of_a_checkout_that_is_gone_is_free_again(tmp_path: Path) -> None:
    (checkout, other), register = directories(tmp_path, 2), tmp_path / "ports.json"
    port_for(checkout, register)
    checkout.rmdir()
    port_for(other, register)

    assert str(checkout) not in register.read_text()


def test_a_register_that_says_nothing_is_begun_anew(tmp_path: Path) -> None:
    (checkout,), register = directories(tmp_path, 1), tmp_path / "ports.json"
    for rubbish in ("", "[]", '{"x": "y"}', '{"x": 99999999}'):
        register.write_text(rubbish)
        assert port_for(checkout, register) is not None


def test_without_a_register_there_is_no_port(tmp_path: Path) -> None:
    (checkout,) = directories(tmp_path, 1)
    (tmp_path / "file").write_text("no folder")

    assert port_for(checkout, tmp_path / "file" / "ports.json") is None
