"""``python -m benchmarks.peers [short|full]``"""

from __future__ import annotations

from benchmarks.parts import run_alone

if __name__ == "__main__":
    run_alone("peers")
