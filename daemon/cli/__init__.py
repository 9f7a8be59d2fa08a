"""The `bridgetender` command."""
