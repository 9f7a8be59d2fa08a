"""What a page must have so that everybody can use it: looked at in the browser that shows it."""

import json
from typing import Any

from playwright.async_api import Page

_NAMED = frozenset(
    [
        "button",
        "link",
        "textbox",
        "searchbox",
        "combobox",
        "checkbox",
        "radio",
        "listbox",
        "option",
        "image",
        "img",
        "DisclosureTriangle",
        "DisclosureTriangleGrouped",
        "spinbutton",
        "switch",
        "tab",
        "table",
        "region",
        "navigation",
        "search",
        "dialog",
    ]
)
"""Roles, as Chromium calls them, of which nothing is there without a name."""
_UNSIZED = "a control is under 24 px, and another is too near"
_LOOK = """() => {
const found = [];
const shown = (e) => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0;
const all = (what) => [...document.querySelectorAll(what)].filter(shown);
const name = (e) => e.outerHTML.slice(0, 120);
const must = (right, words) => { if (!right) found.push(words); };

must(document.documentElement.lang, 'the page has no language');
must(document.title.trim(), 'the page has no title');
must(all('h1').length === 1, `there are ${all('h1').length} first headings`);
must(all('main').length === 1, 'there is not one main part');
let level = 0;
for (const each of all('h1, h2, h3, h4, h5, h6')) {
  const next = Number(each.tagName[1]);
  must(next <= level + 1, `a heading is left out before ${name(each)}`);
  level = next;
}
if (all('nav').length > 1) {
  for (const each of all('nav')) must(each.ariaLabel, `which navigation: ${name(each)}`);
}
for (const each of all('input, select, textarea')) {
  must(each.labels?.length || each.ariaLabel, `no label: ${name(each)}`);
}
for (const each of all('table')) {
  must(each.querySelector('th'), `no header: ${name(each)}`);
  for (const head of each.querySelectorAll('th')) must(head.scope, `no scope: ${name(head)}`);
}
const ids = [...document.querySelectorAll('[id]')].map((each) => each.id);
must(new Set(ids).size === ids.length, 'an id is there twice');
for (const each of document.querySelectorAll('[aria-labelledby], [aria-describedby]')) {
  const meant = [...each.attributes].filter((a) => /^aria-(label|describ)edby$/.test(a.name));
  for (const id of meant.flatMap((a) => a.value.split(' '))) {
    must(ids.includes(id), `${id} is nowhere`);
  }
}

const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
const over = (below, colour) => {  // any CSS colour, painted over what is below
  canvas.clearRect(0, 0, 1, 1);
  for (const each of [below, colour]) { canvas.fillStyle = each; canvas.fillRect(0, 0, 1, 1); }
  return `rgb(${[...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).join()})`;
};
const ground = (e) => {
  const below = e.parentElement ? ground(e.parentElement) : 'white';
  return over(below, getComputedStyle(e).backgroundColor);
};
const light = (colour) => {
  const parts = colour.match(/\\d+/g).map((v) => v / 255);
  const [r, g, b] = parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [least, most] = [light(one), light(other)].sort((a, b) => a - b);
  return (most + 0.05) / (least + 0.05);
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const holders = new Set();
while (texts.nextNode()) {
  if (texts.currentNode.data.trim()) holders.add(texts.currentNode.parentElement);
}
for (const each of holders) {
  if (!shown(each) || each.closest('[disabled]')) continue;
  const style = getComputedStyle(each), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const below = ground(each), ratio = contrast(over(below, style.color), below);
  must(ratio >= (large ? 3 : 4.5), `contrast of ${ratio.toFixed(2)}: ${name(each)}`);
}
for (const each of all('input, select, textarea')) {
  if (each.type === 'hidden') continue;
  const style = getComputedStyle(each), below = ground(each.parentElement);
  must(contrast(over(below, style.borderTopColor), below) >= 3, `a faint field: ${name(each)}`);
}

const targets = all('a[href], button, summary, input, select, textarea')
  .filter((each) => !each.classList.contains('skip'))
  .map((each) => [each, each.getBoundingClientRect()]);
const small = ([, box]) => box.width < 24 || box.height < 24;
for (const [each, box] of targets.filter(small)) {
  const sentence = [...each.parentElement.childNodes]
    .some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
  if (getComputedStyle(each).display === 'inline' && sentence) continue;
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  for (const [other, there] of targets) {
    if (other === each || other.contains(each) || each.contains(other)) continue;
    const dx = Math.max(there.left - x, 0, x - there.right);
    const dy = Math.max(there.top - y, 0, y - there.bottom);
    must(Math.hypot(dx, dy) >= 12, `UNSIZED: ${name(each)}`);
  }
}
must(document.documentElement.scrollWidth <= innerWidth,
  `${document.documentElement.scrollWidth} px are wider than ${innerWidth}`);
if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
  must(document.getAnimations().length === 0, 'something moves');
}
return found;
}""".replace("UNSIZED", _UNSIZED)
_HELD = """() => {
const held = document.activeElement;
if (!held || held === document.body) return null;
const style = getComputedStyle(held), box = held.getBoundingClientRect();
const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
const there = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
if (!held.dataset.tabbed) held.dataset.tabbed = Math.random();
return {id: held.dataset.tabbed, well: seen && there, what: held.outerHTML.slice(0, 120)};
}"""
_OPEN = "() => document.querySelectorAll('main details').forEach((each) => { each.open = true; })"
_CLOSE = "() => document.querySelectorAll('main details').forEach((each) => { each.open = false; })"

_BEGIN = """() => {
document.body.tabIndex = -1;
document.body.focus();
document.body.removeAttribute('tabindex');
}"""


async def faults(page: Page) -> list[str]:
    """Return what is wrong with the page as it is, with everything unfolded."""
    await page.evaluate(_OPEN)
    found: list[str] = await page.evaluate(_LOOK)
    unnamed = await _without_name(page)
    await page.evaluate(_CLOSE)
    return [f"{page.url}: {each}" for each in [*found, *unnamed]]


async def _without_name(page: Page) -> list[str]:
    """Return the roles of what a screen reader would call nothing."""
    session = await page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    await session.detach()
    return [
        f"no name: {json.dumps(node)[:200]}"
        for node in nodes
        if not node["ignored"]
        and node.get("role", {}).get("value") in _NAMED
        and not node.get("name", {}).get("value", "").strip()
    ]


async def by_keyboard(page: Page) -> list[str]:
    """Go through the page by Tab; return what is wrong with where that leads.

    Every control is reached, it is seen that it has the focus, and the way goes on. A page that
    lives may change underneath: what is wrong with it is so three times.
    """
    for _ in range(3):
        wrong = await _by_keyboard(page)
        if not wrong:
            break
    return wrong


async def _by_keyboard(page: Page) -> list[str]:
    expected: int = await page.evaluate(
        "() => [...document.querySelectorAll('a[href], button, summary, input, select, textarea')]"
        ".filter((e) => e.checkVisibility() && !e.disabled && e.type !== 'hidden').length"
    )
    await page.evaluate(_BEGIN)
    met, wrong = set[str](), list[str]()
    for _ in range(expected + 5):
        await page.keyboard.press("Tab")
        held = await page.evaluate(_HELD)
        if held is None or held["id"] in met:
            break
        met.add(held["id"])
        if not held["well"]:
            wrong.append(f"{page.url}: focus is not seen: {held['what']}")
    if len(met) < expected:
        wrong.append(f"{page.url}: Tab reaches {len(met)} of {expected} controls")
    return wrong
