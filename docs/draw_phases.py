"""Draws phases.md from the table in the code: `python -m docs.draw_phases > docs/phases.md`."""

from collections import defaultdict

from reconciler.phases import TRANSITIONS

HEAD = """# Phases

The life of a connector, drawn from `reconciler/phases.py` by `python -m docs.draw_phases`.

```mermaid
stateDiagram-v2
    [*] --> pending: a key wants the slot
    [*] --> live: adopt
"""


def picture() -> str:
    """Return the page; arrows that stay where they are, are left out."""
    lines = []
    for phase, events in TRANSITIONS.items():
        arrows = defaultdict(list)
        for event, after in events.items():
            if after is not phase:
                arrows[after].append(event.value)
        lines += [f"    {phase} --> {after}: {', '.join(by)}" for after, by in arrows.items()]
    return HEAD + "\n".join(lines) + "\n    removed --> [*]\n```\n"


if __name__ == "__main__":
    print(picture(), end="")  # noqa: T201
