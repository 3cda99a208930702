"""A source in plain folders. ``engine`` is the door; each other module does one part of its work."""
