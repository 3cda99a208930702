"""Hands tasks out to workers that claim them: serves the sources with ``served_by: workers``.

The process of the API is the home of all this. The daemon leaves such a source alone, and is not needed for it.
"""
