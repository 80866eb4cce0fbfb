"use strict";
// An old answer must never look like a GO: whatever fails takes it away.
const EVERY_MS = 2000;
const MARKS = { ok: "✓", fix: "✗", look: "!", wait: "…" };
const SPOKEN = { ok: "good", fix: "to fix", look: "worth a look", wait: "wait" };
const at = (id) => document.getElementById(id);
let timer = 0;

function show(state, word, headline) {
  document.body.dataset.state = state;
  if (at("word").textContent !== word) at("word").textContent = word;
  if (at("headline").textContent !== headline) at("headline").textContent = headline;
  document.title = word;
}

function part(tag, kind, text) {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = text;
  return element;
}

function line(check) {
  const item = document.createElement("li");
  item.className = check.verdict;
  const mark = part("span", "mark", MARKS[check.verdict]);
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", SPOKEN[check.verdict]);
  const told = document.createElement("div");
  told.append(part("span", "name", check.name), part("p", "words", check.words));
  if (check.remedy) told.append(part("p", "remedy", check.remedy));
  item.append(mark, told);
  return item;
}

function told(seen) {
  const toFix = seen.checks.some((check) => check.verdict === "fix");
  show(seen.go ? "go" : toFix ? "fix" : "wait", seen.go ? "GO" : "NO-GO", seen.headline);
  at("login").hidden = true;
  at("place").textContent = seen.site ? `${seen.site} · ${seen.gateway}` : seen.gateway;
  const order = { fix: 0, wait: 1, look: 2, ok: 3 };
  const checks = [...seen.checks].sort((a, b) => order[a.verdict] - order[b.verdict]);
  at("checks").replaceChildren(...checks.map(line));
  at("seen").textContent = `Seen at ${seen.seen_at.replace("T", " ").replace("+00:00", " UTC")}`;
}

function empty(headline) {
  show("wait", "NO-GO", headline);
  at("checks").replaceChildren();
  at("place").textContent = "";
  at("seen").textContent = "";
}

async function look() {
  clearTimeout(timer);
  try {
    const answer = await fetch("status.json", { signal: AbortSignal.timeout(8000) });
    if (answer.status === 401 || answer.status === 429) {
      empty("Type the PIN on the label");
      at("login").hidden = false;
      return; // the form goes on
    }
    if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
    told(await answer.json());
  } catch (error) {
    empty("The gateway does not answer. Is it on, and are you in its network?");
  }
  timer = setTimeout(look, EVERY_MS);
}

async function login(pin) {
  try {
    const answer = await fetch("login", { method: "POST", body: pin });
    at("login-fault").textContent = answer.ok ? "" : await answer.text();
  } catch (error) {
    at("login-fault").textContent = "The gateway does not answer.";
  }
  at("pin").value = "";
  await look();
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  login(at("pin").value);
});

// The label's QR code ends in #pin=…: what stands behind # is never sent, and leaves the address.
const given = new URLSearchParams(location.hash.slice(1)).get("pin");
if (given) {
  history.replaceState(null, "", location.pathname);
  login(given);
} else {
  look();
}
