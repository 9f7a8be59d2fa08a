"""The console: pages for people, made here and sent whole; a little script keeps them fresh."""
