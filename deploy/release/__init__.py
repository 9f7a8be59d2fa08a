"""The release: how it is built, what must be in it, what its parts are licensed under."""
