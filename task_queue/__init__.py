"""task-queue: drop a Markdown file into a folder, get finished work beside it."""

__version__ = "0.1.0"
