"""Recurring tasks: what a file in ``schedules/`` says, when it is due, and what follows from that."""
