"""The account's state on disk, so that a pause survives a restart: ``accounts.json`` in the state directory.

A person opens the account again by removing the file (``tasks resume-account`` does).
"""

from __future__ import annotations

import logging
from pathlib import Path

from task_queue.domain.attempt.account import Account
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

log = logging.getLogger(__name__)

_MAX_BYTES = 2**20


class AccountFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Account:
        """What the file says; an open account if there is none, or if it is unreadable."""
        try:
            return decode(Account, durable.read_regular(self._path, limit=_MAX_BYTES)[0])
        except FileNotFoundError:
            return Account()
        except (OSError, UnreadableRecordError) as error:
            log.warning("account state not read, taken as open path=%s error=%s", self._path, error)
            return Account()

    def save(self, account: Account) -> None:
        try:
            durable.make_directory(self._path.parent)
            durable.replace(self._path, encode(account))
        except OSError as error:
            log.warning("account state not written path=%s error=%s", self._path, error)

    def exists(self) -> bool:
        return self._path.exists()
