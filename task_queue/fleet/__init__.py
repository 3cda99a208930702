"""Several machines, one queue: the engine on PostgreSQL. Of the extra ``fleet``; one machine needs none of it."""
