"""The way to a database: URL, engine, deadlines, retries, and what its complaints mean."""
