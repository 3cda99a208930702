"""Every verb and question of a person or a program, as a function with typed arguments and a typed answer.

What cannot be done is a TaskQueueError. Shared by everything that speaks to a person: the command line now,
an API and pages later. Deliberately absent: the terminal (``cli/render``), exit codes, and, from the questions,
pydantic (it costs more than the rest of ``status``). Questions are answered from files alone, so that they work
while the daemon is down: a file that is not what it should be becomes a sentence, never an exception.
"""
