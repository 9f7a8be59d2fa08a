"""PostgreSQL: their tables, which we read, and ours, which nobody else writes."""
