"""The process that serves the sources: a worker for each, supervision of attempts, admission, watches."""
