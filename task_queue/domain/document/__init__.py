"""From a document's name and bytes to a task, its settings, and its place in the order."""
