"""What status, list and show tell: computed from files alone, so that it works while the daemon is down.

Shared by everything that shows: the command line now, pages later. Deliberately absent: the terminal
(``cli/render``), and pydantic (it costs more than the rest of ``status``): a file that is not what it
should be becomes a sentence, never an exception.
"""
