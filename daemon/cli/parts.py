"""How every command's own app is made: plain help, which costs a third of the adorned one."""

import typer


def command_app(help: str = "") -> typer.Typer:  # noqa: A002 - typer's word
    """Return an app for one command, or with *help* for a group of them."""
    return typer.Typer(
        help=help or None,
        no_args_is_help=bool(help),
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
