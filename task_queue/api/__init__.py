"""The HTTP API, in a process of its own: each operation parses, makes one call into ``app/``, and answers in JSON."""
