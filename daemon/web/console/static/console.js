// Keeps the page fresh: hears of changes, fetches the page anew, puts in the parts that are live.
"use strict";

const LIVE = { "X-Live": "1" };
const line = document.getElementById("line");
let tag = "";
let busy = false;
let again = false;
let behind = false;
let astray = false;

function say(words, lost) {
  document.body.classList.toggle("lost", lost);
  if (!line || line.textContent === words) return;
  line.textContent = words;
  line.classList.toggle("lost", lost);
}

// Whoever is logged out, or looks at what is gone, is told so by the page that is there instead.
function over(answer) {
  const so = [401, 403, 404].includes(answer.status);
  if (so) location.reload();
  return so;
}

function parsed(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

function inUse(part) {
  const here = document.activeElement;
  const typing = part.contains(here) && here.matches("input, textarea, select");
  return typing || part.querySelector("details.ask[open]") !== null;
}

function put(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const places = "a, button, summary";
  const held = [...part.querySelectorAll(places)].indexOf(document.activeElement);
  part.replaceChildren(...document.adoptNode(fresh).childNodes);
  if (held >= 0) part.querySelectorAll(places)[held]?.focus();
}

function well() {
  if (!astray) say(behind ? "live, but not what you have open" : "live", false);
}

async function renew() {
  if (!document.querySelector("[data-live]")) return well();
  again = busy || document.hidden;
  if (again) return;
  busy = true;
  behind = true;
  try {
    const headers = { ...LIVE };
    if (tag) headers["If-None-Match"] = tag;
    const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
    if (over(answer)) return;
    behind = ![200, 304].includes(answer.status);
    again ||= behind;
    if (behind) say("out of reach: what you see may be old", true);
    if (answer.status === 304) well();
    if (answer.status !== 200) return;
    const found = parsed(await answer.text());
    let whole = true;
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = found.getElementById(part.id);
      if (!fresh) continue;
      if (inUse(part)) whole = false;
      else put(part, fresh);
    }
    document.title = found.title;
    tag = whole ? answer.headers.get("ETag") || "" : "";
    behind = !whole;
    well();
    count();
    balances();
  } catch {
    again = true;
    say("out of reach: what you see may be old", true);
  } finally {
    setTimeout(rested, (behind ? 5000 : 2000) + Math.random() * 1000);
  }
}

// However much changes: a page is fetched every few seconds, and not all pages at the same moment.
function rested() {
  busy = false;
  if (again) renew();
}

function follow() {
  const where = document.body.dataset.events;
  if (!where) return;
  let version = document.body.dataset.version;
  const source = new EventSource(where);
  source.addEventListener("change", (event) => {
    const now = JSON.parse(event.data).version;
    astray = false;
    if (now !== version || behind) renew();
    else well();
    version = now;
  });
  source.addEventListener("away", () => {
    astray = true;
    say("database out of reach", true);
  });
  source.onerror = () => {
    astray = true;
    say("out of reach: what you see may be old", true);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
  };
}

function span(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}

function count() {
  doubt();
  for (const each of document.querySelectorAll("time[datetime]")) {
    const away = Math.round((Date.parse(each.dateTime) - Date.now()) / 1000);
    let words = away > 0 ? `in ${span(away)}` : `${span(-away)} ago`;
    if ("due" in each.dataset && away <= 0) words = "now";
    if ("for" in each.dataset) words = span(Math.max(-away, 0));
    if (each.textContent !== words) each.textContent = words;
  }
}

// Balances are asked for anew as often as they say; what could not be renewed says that.
const EVERY = 10_000;
let heard = Date.now();
let trouble = "";
let asking = false;
let due = 0;

async function balances() {
  const place = document.getElementById("balances");
  if (!place || document.hidden || asking) return;
  asking = true;
  clearTimeout(due);
  try {
    const patience = AbortSignal.timeout(2 * EVERY);
    const asked = { headers: LIVE, cache: "no-store", redirect: "manual", signal: patience };
    const answer = await fetch(place.dataset.from, asked);
    if (over(answer)) return;
    show(place, parsed(await answer.text()));
  } catch {
    trouble = "Bridgetender is out of reach";
  } finally {
    asking = false;
    due = setTimeout(balances, EVERY);
  }
  if (!document.body.dataset.events) say(trouble || "live", Boolean(trouble));
  count();
}

function show(place, told) {
  const fresh = told.getElementById("statement");
  trouble = fresh ? "" : told.querySelector("h1")?.textContent || "Something went wrong";
  if (!fresh) return;
  const open = place.querySelector("details[open]") !== null;
  if (open) fresh.querySelector("details")?.setAttribute("open", "");
  const whole = document.createElement("div");
  whole.append(fresh);
  put(place, whole);
  heard = Date.now();
  date();
}

// Ages are counted here from when they were told: clocks differ.
function date() {
  for (const each of document.querySelectorAll("time[data-age]")) {
    const at = Date.now() - 1000 * Number(each.dataset.age);
    each.dateTime = new Date(at).toISOString();
  }
}

function doubt() {
  const place = document.getElementById("balances");
  if (!place) return;
  const part = document.getElementById("doubt");
  const old = Boolean(trouble) || Date.now() - heard > 3 * EVERY;
  place.classList.toggle("old", old);
  part.hidden = !old;
  const told = place.querySelector("time[data-age]");
  const what = told ? "these balances are old, from" : "the balances are not known";
  const words = `${trouble || "There is no answer yet"}: ${what}`;
  const [status, time] = part.children;
  if (old && status.textContent !== words) status.textContent = words;
  time.hidden = !told;
  if (told) time.dateTime = told.dateTime;
}

// Offers the fields that the chosen exchange has, under the names that it gives them.
function fields() {
  const form = document.getElementById("add-key");
  if (!form) return;
  const offers = new Map();
  for (const each of document.querySelectorAll("#exchanges option")) {
    offers.set(each.value, JSON.parse(each.dataset.offer));
  }
  const about = document.getElementById("about-exchange");
  const parts = [...form.querySelectorAll("[data-field]")].map((part) => ({
    part,
    name: part.querySelector(".name"),
    label: part.querySelector(".name").textContent,
    input: part.querySelector("input, textarea"),
    hint: part.querySelector("small"),
  }));
  const choose = () => {
    const name = form.elements.exchange.value.trim().toLowerCase();
    const offer = offers.get(name);
    for (const { part, name: title, label, input, hint } of parts) {
      const field = offer?.fields.find((each) => each.name === part.dataset.field);
      part.hidden = Boolean(offer) && !field;
      input.disabled = part.hidden;
      input.required = offer ? !part.hidden : input.name !== "passphrase";
      title.textContent = field ? field.label : label;
      if (hint) hint.hidden = Boolean(offer);
    }
    form.querySelector("[data-testnet]").hidden = offer?.testnet === false;
    let words = offer?.unfit || "";
    if (offer?.proves === false) words = `No call to ${name} proves a key before it trades.`;
    if (name && offers.size && !offer) {
      const alike = (each) => each.startsWith(name) || edits(each, name) <= 2;
      const near = [...offers.keys()].filter(alike).slice(0, 5);
      words = near.length ? `Which one: ${near.join(", ")}?` : "The bridge has no exchange of this name.";
    }
    about.textContent = words;
    about.hidden = !words;
  };
  form.elements.exchange.addEventListener("input", choose);
  choose();
}

// How many letters have to be put in, taken out or changed to make one word of the other.
function edits(one, other) {
  let row = [...Array(other.length + 1).keys()];
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1];
    for (let j = 0; j < other.length; j++)
      next.push(Math.min(row[j] + (letter === other[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1));
    row = next;
  }
  return row.at(-1);
}

// Sends a form whose secrets are to stay where they are if something is wrong with them.
async function send(form, button) {
  const place = form.querySelector(".answer");
  const body = new URLSearchParams(new FormData(form)); // with what the last answer asked
  place.textContent = "Asking …";
  try {
    const where = button?.getAttribute("formaction") || form.getAttribute("action");
    const answer = await fetch(where, { method: "POST", headers: LIVE, body });
    const next = answer.headers.get("X-Next");
    if (next) {
      location.assign(next);
      return;
    }
    const found = parsed(await answer.text());
    const told = found.getElementById("answer")?.childNodes || found.querySelectorAll(".said");
    place.replaceChildren(...[...told].map((each) => document.adoptNode(each)));
    place.querySelector("input")?.focus();
  } catch {
    place.textContent = "Out of reach: nothing is known of what came of it. Load the page again.";
  }
  enable(form);
}

function enable(part) {
  part.querySelectorAll("button[disabled]").forEach((button) => { button.disabled = false; });
}

function close(part) {
  const open = part?.closest("details.ask[open]");
  if (!open) return;
  open.removeAttribute("open");
  open.querySelector("summary").focus();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-send]")) {
    event.preventDefault();
    send(form, event.submitter);
  }
  // once: a second press would do it twice
  setTimeout(() => form.querySelectorAll("button").forEach((b) => { b.disabled = true; }));
});
document.addEventListener("visibilitychange", () => {
  if (again && !busy) renew();
  balances();
});
addEventListener("pageshow", () => enable(document));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close(document.activeElement);
});
document.addEventListener("click", (event) => {
  if (event.target.matches("[data-close]")) close(event.target);
});
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.ask") && !event.target.open) renew();
}, true);

follow();
fields();
date();
count();
balances();
setInterval(count, 1000);
