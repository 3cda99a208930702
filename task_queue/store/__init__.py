"""Tasks at rest: the engine on plain folders, transcripts, and what else outlives a process."""
