"""What is kept: the table and its rows, the buckets and their keys."""
