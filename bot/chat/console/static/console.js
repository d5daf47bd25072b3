// The page of the console: hears which requests changed, asks for their cards, sends clicks.
// It makes no markup from data: cards come from the server, where every text is escaped.
"use strict";
(() => {
const STEP = 100;           // cards that "Show more" adds
const QUIET_MS = 40000;     // the server beats every 15 s; after so long the stream is lost
const HEAL_EVERY_MS = 60000;
const HIDDEN_EVERY_MS = 15000;
const ANSWER_MS = 20000;    // whoever is not answered for so long is not waited for any more
const REOPEN_MS = [250, 500, 1000, 2000, 5000];
const theme = localStorage.getItem("placet-theme") || "";
if (theme) document.documentElement.dataset.theme = theme;

const byId = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
let offset = 0;             // the server's clock minus ours, in milliseconds
let lastWord = Date.now();
let lastHeal = 0;
let failures = 0;
let stream = null;
let lastBoard = null;       // what stands there, unless something failed to be drawn
let opener = null;          // the request whose button opened the panel

// -- asking the server ------------------------------------------------------------------------

async function ask(path, options = {}) {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const reply = await fetch(path, { cache: "no-store", credentials: "same-origin", signal, ...options });
  if (reply.status === 401 || reply.status === 403) {
    leave();
  }
  const told = await reply.json();
  if (!reply.ok) throw new Error(told.detail || "Placet could not answer.");
  return told;
}

// This tab belongs to somebody who no longer sits here. Once: a reload that does not help would not
// help again.
function leave() {
  const last = Number(sessionStorage.getItem("placet-reloaded") || 0);
  if (Date.now() - last < 5000) throw new Error("Placet does not know who you are. Close this tab and open the page anew.");
  sessionStorage.setItem("placet-reloaded", String(Date.now()));
  location.reload();
  throw new Error("reloading");
}

function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Placet-CSRF": meta("placet-token") };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

function unreachable(error) {
  if (error.message === "reloading") return;
  const known = error instanceof TypeError || error.name === "TimeoutError"
    ? "Placet cannot be reached, so it is not known whether this counted. Look again when it is back."
    : error.message;
  const panelError = byId("panel-error");
  if (byId("panel").open && panelError) { panelError.textContent = known; panelError.hidden = false; }
  else tell(paragraph(known));
}

// -- the lists --------------------------------------------------------------------------------

const sections = () => [...document.querySelectorAll("#board section")];
const hidden = (section) => (section.dataset.more ? section.dataset.more.split(" ") : []);
const orderOf = (entry) => Number(entry.split(":")[1]);
const idOf = (entry) => entry.split(":")[0];

function count() {
  let waiting = 0;
  for (const section of sections()) {
    const shown = section.querySelectorAll("article").length;
    const more = hidden(section).length;
    section.querySelector(".count").textContent = shown + more;
    const button = section.querySelector(".more");
    button.hidden = more === 0;
    button.textContent = `Show ${Math.min(STEP, more)} more of ${more}`;
    if (section.id === "waiting") waiting = shown + more;
  }
  document.title = waiting ? `(${waiting}) Placet` : "Placet";
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

const revealing = new Set();  // hidden ones that somebody has asked to see

// Puts a card where it belongs, and focus and opened timeline back to where they were.
function place(told) {
  const before = byId(told.id);
  const focused = before && before.contains(document.activeElement) ? document.activeElement : null;
  const action = focused && focused.dataset.action;
  const isOpen = before && before.querySelector("details[open]");
  const from = before ? before.dataset.section : null;
  let isNew = from !== told.section;
  let wasHidden = false;
  if (before) before.remove();
  for (const section of sections()) {
    const rest = hidden(section).filter((entry) => idOf(entry) !== told.id);
    if (rest.length < hidden(section).length && section.id === told.section) wasHidden = true;
    section.dataset.more = rest.join(" ");
  }
  if (!told.section) return;
  const section = byId(told.section);
  const rest = hidden(section);
  const isBeyond = wasHidden || (rest.length > 0 && told.order > orderOf(rest[0]));
  if (wasHidden) isNew = false;
  if (!revealing.delete(told.id) && isBeyond) {
    rest.push(`${told.id}:${told.order}`);
    rest.sort((one, other) => orderOf(one) - orderOf(other));
    section.dataset.more = rest.join(" ");
    return;
  }
  const card = parsed(told.html);
  const cards = section.querySelector(".cards");
  const next = [...cards.children].find((each) => Number(each.dataset.order) > told.order);
  cards.insertBefore(card, next || null);
  if (isOpen && card.querySelector("details")) card.querySelector("details").open = true;
  if (focused) (card.querySelector(`[data-action="${action}"]`) || card).focus();
  if (isNew) {
    card.classList.add("fresh");
    if (told.section === "waiting" && lastBoard !== null) announce(`New: ${told.text}`);
  }
}

// One answer at a time is asked for and drawn: none can overtake another and leave an older state.
let turn = Promise.resolve();
function inTurn(work) {
  const done = turn.then(work);
  turn = done.catch(() => {});
  return done;
}

const wanted = new Set();
function draw(ids) {
  ids.forEach((id) => wanted.add(id));
  return inTurn(async () => {
    const all = [...wanted];
    wanted.clear();
    await drawNow(all);
  });
}

async function drawNow(ids) {
  try {
    for (let start = 0; start < ids.length; start += 50) {
      const query = ids.slice(start, start + 50).map((id) => `id=${encodeURIComponent(id)}`).join("&");
      const told = await ask(`/console/cards?${query}`);
      for (const card of told.cards) {
        place(card);
        touchPanel(card);
      }
    }
  } catch (error) {
    lastBoard = null;       // the next look draws everything
    throw error;
  } finally {
    count();
    tick();
  }
}

// Draws everything anew: after a lost stream, a night, or more changes than one by one is worth.
let healing = null;         // one that has yet to begin serves whoever asks now
function heal() {
  lastHeal = Date.now();
  healing = healing || inTurn(healNow);
  return healing;
}

async function healNow() {
  healing = null;
  const told = await ask("/console/board");
  if (told.version !== meta("placet-version") || told.person !== document.body.dataset.person) {
    location.reload();
    return;
  }
  if (told.html === lastBoard) return;
  lastBoard = told.html;
  const focused = document.activeElement;
  const card = focused && focused.closest ? focused.closest("article, section") : null;
  const open = [...document.querySelectorAll("article details[open]")].map((each) => each.closest("article").id);
  const shown = new Map(sections().map((each) => [each.id, each.querySelectorAll("article").length]));
  const top = scrollY;
  byId("board").innerHTML = told.html;
  const lacking = sections().flatMap((section) => {
    const lacks = shown.get(section.id) - section.querySelectorAll("article").length;
    return hidden(section).slice(0, Math.max(0, lacks)).map(idOf);
  });
  lacking.forEach((id) => revealing.add(id));
  await drawNow(lacking);
  for (const id of open) {
    const details = byId(id) && byId(id).querySelector("details");
    if (details) details.open = true;
  }
  if (lacking.length) scrollTo(scrollX, top);
  if (card && document.activeElement === document.body) {
    const again = byId(card.id);
    const same = again && focused.dataset.action && again.querySelector(`[data-action="${focused.dataset.action}"]`);
    if (again) (same || (again.matches("article") ? again : again.querySelector("h2"))).focus();
  }
  const panel = byId("panel");
  if (panel.open && panel.dataset.request) await drawNow([panel.dataset.request]);
}

// Each card leaves the hidden ones when it is placed, so a lost answer loses none.
async function showMore(section) {
  const last = section.querySelector("article:last-child");
  const more = hidden(section).slice(0, STEP).map(idOf);
  more.forEach((id) => revealing.add(id));
  await draw(more);
  const first = last && last.nextElementSibling;
  if (first) first.focus();
}

// -- the stream -------------------------------------------------------------------------------

// A browser opens six connections to one host at most: six hidden tabs that listened would leave
// none for a click. So a hidden tab only looks now and then, and listens again once it is seen.
function listen() {
  if (stream) stream.close();
  stream = null;
  if (document.hidden) return;
  lastWord = Date.now();
  const opened = new EventSource("/console/events");
  stream = opened;
  let isFirst = true;
  const heard = (event) => {
    lastWord = Date.now();
    if (event.type !== "changed") offset = Number(event.data) - Date.now();
    if (!isFirst) return;
    isFirst = false;
    failures = 0;
    byId("offline").hidden = true;
    heal().catch(unreachable);          // what changed while nobody listened
  };
  opened.addEventListener("beat", (event) => {
    heard(event);
    if (Date.now() - lastHeal > HEAL_EVERY_MS) heal().catch(unreachable);
  });
  opened.addEventListener("resync", (event) => { heard(event); heal().catch(unreachable); });
  opened.addEventListener("changed", (event) => {
    heard(event);
    draw(event.data.split(" ")).catch(unreachable);
  });
  opened.addEventListener("error", () => {
    opened.close();
    if (failures > 1) {
      byId("offline").hidden = false;
      heal().catch(() => {});           // an event stream does not tell why it was refused
    }
    setTimeout(listen, REOPEN_MS[Math.min(failures, REOPEN_MS.length - 1)]);
    failures += 1;
  });
}

function look() {
  if (document.hidden) {
    if (Date.now() - lastHeal > HIDDEN_EVERY_MS) heal().catch(() => {});
  } else if (Date.now() - lastWord > QUIET_MS) {
    listen();
  }
}

// -- times ------------------------------------------------------------------------------------

function two(number) { return String(number).padStart(2, "0"); }

function clock(at) {
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  return `${day}${two(at.getHours())}:${two(at.getMinutes())}`;
}

function left(ms) {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s left`;
  if (seconds < 300) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s left`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min left`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h left` : `${Math.floor(seconds / 86400)} days left`;
}

function tick() {
  const now = Date.now() + offset;
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    let words = clock(at) + ("exact" in time.dataset ? `:${two(at.getSeconds())}` : "");
    if ("deadline" in time.dataset) {
      const rest = at - now;
      words += rest > 0 ? ` (${left(rest)})` : " (time is up)";
      time.classList.toggle("late", rest < 60000);
      allowActs(time.closest("article, #panel-form"), rest > 0);
    }
    if (time.textContent !== words) time.textContent = words;
    if (!time.title) time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
  }
}

// Both ways: the clock of this machine may have been wrong, and been put right.
function allowActs(where, isInTime) {
  if (!where) return;
  for (const button of where.querySelectorAll('[data-action="approve"], [data-action="deny"], [data-action="revoke"]')) {
    button.disabled = !isInTime || "over" in button.dataset;
  }
}

// -- clicks -----------------------------------------------------------------------------------

function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

function tell(content) {
  const box = document.createElement("div");
  if (typeof content === "string") box.innerHTML = content; else box.append(content);
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => {
    const byKey = close.matches(":focus-visible");
    box.remove();
    if (byKey) focusBack();             // for a mouse the page would jump to the card for nothing
  });
  box.append(close);
  byId("reply").replaceChildren(box);
  tick();
}

function announce(text) { byId("announce").textContent = text; }

function openPanel(html, request) {
  const panel = byId("panel");
  panel.dataset.request = request;
  byId("panel-form").innerHTML = html;
  byId("reply").replaceChildren();
  tick();
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  byId("panel-title").focus();
}

function touchPanel(told) {
  const panel = byId("panel");
  if (!panel.open || panel.dataset.request !== told.id || panel.dataset.busy) return;
  const submits = [...byId("panel-form").querySelectorAll("button[data-action]")];
  if (!submits.length) return;
  // Who can do one thing alone still can where the card offers it; the card as told, for on the page
  // it may stand among those that are not shown yet.
  const only = submits.length === 1 ? submits[0].dataset.action : "";
  if (only ? told.html.includes(`data-action="${only}"`) : told.section === "waiting") return;
  submits.forEach((button) => { button.disabled = true; button.dataset.over = "yes"; });
  const error = byId("panel-error");
  if (error.dataset.answer) return;     // the click that found the votes closed has said why
  const left = only === "revoke" ? "revoke" : "decide";
  error.textContent = told.text ? `There is nothing left for you to ${left} here. ${told.text}` : "You may not see this request any more.";
  error.hidden = false;
}

// The second half of a double click: by then another button may stand under the pointer. Some
// browsers count clicks anew when it does, so time and place tell as well.
let lastPress = { event: { timeStamp: -Infinity }, button: null };
function isSecondHalf(event, button) {
  const { event: before, button: pressed } = lastPress;
  lastPress = { event, button };
  if (event.detail === 0 || button === pressed) return false;     // by key, or the same one again
  const isNear = Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 8;
  return event.detail > 1 || (isNear && event.timeStamp - before.timeStamp < 500);
}

function dropSecondHalf(event) {
  const button = event.target.closest("button");
  if (button && isSecondHalf(event, button) && button.matches("[data-action], #ask-yes")) {
    event.preventDefault();
    event.stopPropagation();
  }
}

// A second click while the first is on its way is the same click.
async function click(button, inputs) {
  const panel = byId("panel");
  if (panel.dataset.busy) return;
  const { action, request, revision } = button.dataset;
  if (!panel.open) opener = { request, action };
  panel.dataset.busy = "yes";
  try {
    const told = await post("/console/clicks", { action, request, revision: Number(revision), inputs });
    if (told.form) {
      openPanel(told.form, request);
      if (inputs.reason !== undefined) needReason();
    } else if (told.done || !panel.open) {
      if (panel.open) panel.close();
      tell(told.reply);
    } else {
      const error = byId("panel-error");
      error.textContent = told.text;
      error.dataset.answer = "yes";
      error.hidden = false;
    }
    delete panel.dataset.busy;
    await draw([request]);
    if (document.querySelector("#panel-form button:enabled")) delete byId("panel-error").dataset.answer;
  } catch (error) {
    unreachable(error);
  } finally {
    delete panel.dataset.busy;
  }
}

function needReason() {
  const reason = byId("reason");
  const error = byId("panel-error");
  reason.setAttribute("aria-invalid", "true");
  error.textContent = "Say why: a denial needs a reason.";
  error.hidden = false;
  reason.focus();
}

function send(button) {
  const reason = byId("reason");
  if (button.dataset.action === "deny" && reason && !reason.value.trim()) { needReason(); return; }
  const value = reason ? reason.value.trim() : "";
  click(button, value ? { reason: value } : {});
}

function confirmed(button) {
  const box = byId("ask");
  byId("ask-title").textContent = button.dataset.ask;
  byId("ask-text").textContent = button.dataset.askText;
  byId("ask-yes").textContent = button.dataset.askYes;
  byId("ask-yes").onclick = () => { box.close(); click(button, {}); };
  box.showModal();
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".close")) byId("panel").close();
  else if (button.id === "ask-no") byId("ask").close();
  else if (button.matches(".more")) showMore(button.closest("section")).catch(unreachable);
  else if (button.dataset.action && button.closest("#board")) {
    if (button.dataset.ask) confirmed(button); else click(button, {});
  }
}

// Focus goes back to the button that opened the panel, or to what stands in its place.
function focusBack() {
  const card = opener && byId(opener.request);
  const target = card && (card.querySelector(`[data-action="${opener.action}"]`) || card);
  (target || byId("waiting-head")).focus();
}

function onPanelClosed() {
  byId("panel-form").replaceChildren();
  focusBack();
}

function begin() {
  byId("theme").value = theme;
  byId("theme").addEventListener("change", (event) => {
    const chosen = event.target.value;
    localStorage.setItem("placet-theme", chosen);
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
  });
  byId("switch").addEventListener("submit", (event) => {
    event.preventDefault();
    post("/console/person", { person: byId("person").value })
      .then(() => { localStorage.setItem("placet-person", String(Date.now())); location.reload(); })
      .catch(unreachable);
  });
  // Another tab has switched: this one would show somebody who no longer sits here.
  addEventListener("storage", (event) => { if (event.key === "placet-person") location.reload(); });
  document.addEventListener("click", dropSecondHalf, true);
  document.addEventListener("click", onClick);
  byId("panel").addEventListener("close", onPanelClosed);
  byId("panel-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (button && button.dataset.action) send(button);
  });
  // Enter in the reason must not press the first button, which is Approve.
  byId("panel-form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
  addEventListener("online", () => { lastWord = 0; look(); });
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  document.addEventListener("visibilitychange", listen);
  setInterval(() => { tick(); look(); }, 1000);
  count();
  tick();
  listen();
  document.documentElement.dataset.ready = "yes";
  performance.mark("placet-interactive");
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
})();
