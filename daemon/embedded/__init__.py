"""What runs on one machine without asking for anything: PostgreSQL, the bridge, the demo."""
