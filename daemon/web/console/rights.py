"""What a key may do, in words. Pure."""

from daemon.web.models import KeyRights


def told(rights: KeyRights) -> str:
    """Return in a line what an exchange told of a key's rights; "" if it told nothing."""
    named = {"read": rights.read, "trade": rights.trade, "withdraw": rights.withdraw}
    may = [name for name, held in named.items() if held]
    may_not = [name for name, held in named.items() if held is False]
    words = [f"may {', '.join(may)}"] if may else []
    words += [f"may not {', '.join(may_not)}"] if may_not else []
    if rights.ip_restricted is not None:
        words.append("from known addresses only" if rights.ip_restricted else "from any address")
    if rights.expires_at is not None:
        words.append(f"expires on {rights.expires_at:%Y-%m-%d}")
    return "This key " + "; ".join(words) + "." if words else ""
