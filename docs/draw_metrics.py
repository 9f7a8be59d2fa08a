"""Draws metrics.md from the list in the code: `python -m docs.draw_metrics > docs/metrics.md`."""

from daemon.metrics import Metrics

HEAD = """# Metrics

Every series of the daemon, at `/metrics` on the health port (9464), drawn from the code by
`python -m docs.draw_metrics`; the bridge has [its own](bridge.md#metrics). No client, account or
key is ever a label, and an exchange that is not known is `other`. Of a bridge that another replica
holds the gauges are 0, so sum over replicas; `bridge_up` is not there, and the last pass keeps its
time. A bridge that is named no more takes its series along.

| series | type | labels | means |
|---|---|---|---|
"""


def page() -> str:
    rows = []
    for family, labels in Metrics().described():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(
            f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |\n"
        )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
