"""The Model Context Protocol: agents add, follow, cancel and retry tasks by tools. Everything is done in ``app/``."""
