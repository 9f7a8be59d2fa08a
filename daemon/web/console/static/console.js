// Keeps the page fresh: hears of changes, fetches the page anew, puts in the parts that are live.
"use strict";

const line = document.getElementById("line");
let tag = "";
let busy = false;
let again = false;

function say(words, lost) {
  if (!line || line.textContent === words) return;
  line.textContent = words;
  line.classList.toggle("lost", lost);
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

async function renew() {
  if (!document.querySelector("[data-live]")) return;
  again = busy || document.hidden;
  if (again) return;
  busy = true;
  try {
    const headers = { "X-Live": "1" };
    if (tag) headers["If-None-Match"] = tag;
    const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
    if (answer.status === 401) location.reload();
    if (answer.status !== 200) return;
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    let whole = true;
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = found.getElementById(part.id);
      if (!fresh) continue;
      if (inUse(part)) whole = false;
      else put(part, fresh);
    }
    document.title = found.title;
    tag = whole ? answer.headers.get("ETag") || "" : "";
    count();
    balances();
  } catch {
    say("out of reach", true);
  } finally {
    setTimeout(rested, 2000 + Math.random() * 1000);
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
    say("live", false);
    const now = JSON.parse(event.data).version;
    if (now !== version) renew();
    version = now;
  });
  source.addEventListener("away", () => say("database out of reach", true));
  source.onerror = () => {
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
  for (const each of document.querySelectorAll("time")) {
    const away = Math.round((Date.parse(each.dateTime) - Date.now()) / 1000);
    const words = away > 0 ? `in ${span(away)}` : `${span(-away)} ago`;
    const due = each.closest('[data-of="Next try"]');
    const text = due && away <= 0 ? "now" : words;
    if (each.textContent !== text) each.textContent = text;
  }
}

async function balances() {
  const place = document.getElementById("balances");
  if (!place) return;
  try {
    const answer = await fetch(place.dataset.from, { headers: { "X-Live": "1" }, cache: "no-store" });
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = found.getElementById("statement");
    const open = place.querySelector("details[open]") !== null;
    if (!fresh) return;
    place.replaceChildren(document.adoptNode(fresh));
    if (open) place.querySelector("details")?.setAttribute("open", "");
  } catch {
    // the next time
  }
}

function fields() {
  const form = document.getElementById("add-key");
  if (!form) return;
  const part = form.querySelector('[data-field="passphrase"]');
  const choose = () => {
    const name = form.elements.exchange.value.trim().toLowerCase();
    const known = [...document.querySelectorAll("#exchanges option")].find((o) => o.value === name);
    const wanted = known ? known.dataset.fields.split(" ") : null;
    part.hidden = wanted !== null && !wanted.includes("passphrase");
    part.querySelector("input").required = wanted !== null && !part.hidden;
    form.querySelector('[name="api_secret"]').required = !wanted || wanted.includes("api_secret");
  };
  form.elements.exchange.addEventListener("input", choose);
  choose();
}

document.addEventListener("submit", (event) => {
  // once: a second press would do it twice
  setTimeout(() => event.target.querySelectorAll("button").forEach((b) => { b.disabled = true; }));
});
document.addEventListener("visibilitychange", () => {
  if (again && !busy) renew();
});
addEventListener("pageshow", () => {
  document.querySelectorAll("button[disabled]").forEach((b) => { b.disabled = false; });
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.activeElement?.closest("details.ask[open]")?.removeAttribute("open");
});

follow();
fields();
count();
balances();
setInterval(count, 1000);
setInterval(() => document.hidden || balances(), 60000);
document.addEventListener("toggle", (event) => {
  if (event.target.matches("details.ask") && !event.target.open) renew();
}, true);
