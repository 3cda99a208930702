"""The page: what people see and do in a browser, made on the server from the functions of ``app/``."""
