"""The wire between the daemon and the runner template: a length, then JSON; the answer is a process id."""

from __future__ import annotations

import struct

HEADER = struct.Struct("!Q")
MARKER_SPACE = 2048
"""Room kept in the template's environment block for a runner's marker."""
