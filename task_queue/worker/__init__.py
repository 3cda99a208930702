"""A worker: claims tasks of a server, and lets an ordinary daemon carry them out on this machine.

The daemon serves a private queue, into which the worker puts one task for each claim. The worker itself runs no agent:
it fetches repositories, keeps the leases, and hands back what came of each task.
"""
