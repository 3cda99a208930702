"""Keeps the process of the API alive where the configuration has one; the daemon goes on if it dies.

The daemon never imports it: FastAPI would cost it half its memory. The process ends when the pipe to it is closed,
so that none is left after a daemon that was killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Callable

from task_queue.config.api_settings import ApiSettings
from task_queue.config.environment import notifier_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.platform import descriptors, isolated

log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 60.0
"""After so long, a process that ends counts as the first one."""
_TO_END_S = 10.0


class ApiProcess:
    """For one thread. ``look`` is called now and then, and never waits."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._locations = locations
        self._config_of = config_of
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._serves: ApiSettings | None = None
        self._started_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._start_at = 0.0

    def look(self) -> None:
        """Start it where it is to run and does not; end it where the configuration has changed."""
        wanted = self._config_of().api
        if self._process is not None and self._process.poll() is not None:
            self._note_end(self._process)
        if wanted != self._serves:
            self.stop()
            self._serves, self._pause_s, self._start_at = wanted, _FIRST_PAUSE_S, 0.0
        if wanted is not None and self._process is None and self._monotonic() >= self._start_at:
            self._start()

    def stop(self) -> None:
        """End it, and wait for that."""
        process, self._process = self._process, None
        if process is None:
            return
        with process, contextlib.suppress(OSError):
            process.terminate()
            try:
                process.wait(timeout=_TO_END_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self) -> None:
        self._started_at = self._monotonic()
        words = isolated.words_for(
            "task_queue.api", "--config", str(self._locations.config), "--ends-with-stdin"
        )
        try:
            with self._locations.api_log.open("wb") as errors:
                self._process = subprocess.Popen(
                    words,
                    cwd=isolated.DIRECTORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=notifier_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            self._wait_before_next(str(error))
            return
        descriptors.give_back(self._process.pid)
        log.info("API started pid=%d", self._process.pid)

    def _note_end(self, process: subprocess.Popen[bytes]) -> None:
        self._process = None
        with process:
            pass  # its pipe is closed
        if self._monotonic() - self._started_at >= _STEADY_S:
            self._pause_s = _FIRST_PAUSE_S
        self._wait_before_next(self._last_words() or f"exit code {process.returncode}")

    def _wait_before_next(self, why: str) -> None:
        log.warning("API ended, started again in %g s why=%s", self._pause_s, why)
        self._start_at = self._monotonic() + self._pause_s
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)

    def _last_words(self) -> str:
        try:
            with self._locations.api_log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 2000))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return next((line for line in reversed(lines) if line.startswith("error: ")), "")
