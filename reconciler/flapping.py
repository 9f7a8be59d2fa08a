"""Names a bridge that forgets again and again: one that restarts, or several behind one address."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Flapping:
    """What was noticed within *window* seconds; *many* of it is no accident. Pure."""

    window: float = 600.0
    many: int = 3
    _boots: list[tuple[float, str]] = field(default_factory=list)
    _returns: list[float] = field(default_factory=list)

    def listed(self, boot_id: str | None, returned: int, now: float) -> str:
        """Take note of a listing; return what is wrong with the bridge in words, "" if nothing.

        *returned* counts the connectors that the listing before lacked and that are there again,
        though nobody added them.
        """
        if boot_id is not None and (not self._boots or self._boots[-1][1] != boot_id):
            self._boots.append((now, boot_id))
        if returned:
            self._returns.append(now)
        old = now - self.window
        present = self._boots[-1:]  # however long it has been so
        self._boots = [boot for boot in self._boots[:-1] if boot[0] >= old] + present
        self._returns = [at for at in self._returns if at >= old]
        return self._in_words()

    def _in_words(self) -> str:
        boots, minutes = [boot for _, boot in self._boots], round(self.window / 60)
        if len(boots) > len(set(boots)):
            return "flapping: several processes answer under its address, each with its own keys"
        if len(boots) > self.many:
            return f"flapping: it restarted {len(boots) - 1} times within {minutes} minutes"
        if len(self._returns) >= self.many:
            return "flapping: connectors vanish from its listing and return by themselves"
        return ""
