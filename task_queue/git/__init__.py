"""What a careful colleague does with git, and nothing else: never ``reset --hard``, ``clean``, ``stash``, ``push``.

``program`` runs git, ``repository`` reads, ``snapshot`` turns a working tree into a tree object without
touching it; the others are the steps of a task. Paths are text with undecodable bytes kept (os.fsdecode).
"""
