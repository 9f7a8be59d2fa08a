"""Draws phases.md from the table in the code: `python -m docs.draw_phases > docs/phases.md`."""

from reconciler.model import Phase
from reconciler.phases import TRANSITIONS

HEAD = """# Phases

The life of a connector, drawn from `reconciler/phases.py` by `python -m docs.draw_life`. It begins
as *pending* when a key wants the slot, or as *live* when what the bridge has already is adopted.

![Which event leads from one phase to another](phases.svg)

*Initialize*, *adopt*, *confirm*, *park*, *remove* and *forget* are what a pass may plan
(`reconciler/decide.py`); *start* begins an attempt, and the others are what came of one:
[by verdict](verdicts.md). *Doubt* is the first refusal of credentials that worked before.

All of it, also what changes nothing, by `python -m docs.draw_phases`: which event leads from the
phase of a row to that of a column. What is not there cannot happen.

"""


def page() -> str:
    phases = [*Phase]
    lines = [f"| from, to | {' | '.join(phases)} |", f"|---|{'---|' * len(phases)}"]
    for phase, moves in TRANSITIONS.items():
        cells = [", ".join(e for e, after in moves.items() if after is to) for to in phases]
        if moves:
            lines.append(f"| **{phase}** | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
