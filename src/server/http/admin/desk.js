// What the desk's pages do beyond forms and links. All of them work without it.
"use strict";

// The server shows and reads times in the zone of this browser.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const knownZone = () => document.cookie.split("; ").find((cookie) => cookie.startsWith("sneakdrop_zone="));
if (zone && knownZone() !== `sneakdrop_zone=${zone}`) {
  document.cookie = `sneakdrop_zone=${zone}; Path=/admin; SameSite=Lax; Max-Age=31536000`;
  // Unless the browser keeps no cookies.
  if (knownZone() === `sneakdrop_zone=${zone}` && zone !== "UTC" && document.querySelector("main.desk[data-zone]")) {
    location.reload();
  }
}

// How long a refresh may take, and how long a page rests at most between two.
const LIMIT_MS = 10_000;
const REST_MS = 10_000;

// Makes an element like the server's, one part after the other. What has the focus, was typed, chosen or unfolded stays, and so
// does what is the same: a press of a button is not lost. An own tool of this size instead of morphdom (8 KB), for one page.
function merge(element, next) {
  // The number of a form tells a press that is repeated from another one.
  if (element.name === "form") return;
  const isControl = element.matches("input, textarea, select");
  if (isControl && (isRefused || element === document.activeElement || isChanged(element))) return;
  for (const { name } of [...element.attributes]) {
    if (name !== "open" && !next.hasAttribute(name)) element.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (name !== "open" && element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
  const known = keyed(element);
  let at = element.firstChild;
  for (const [key, wanted] of keyed(next)) {
    const same = known.get(key);
    known.delete(key);
    if (!same) {
      element.insertBefore(wanted, at);
      continue;
    }
    // What stands before it comes later, or not at all; moved itself, it would lose the focus.
    while (same.parentNode === element && at !== same) {
      const before = at;
      at = at.nextSibling;
      if (!isKept(before)) before.remove();
    }
    if (at === same) at = same.nextSibling;
    else element.insertBefore(same, at);
    if (same.isEqualNode(wanted)) continue;
    if (same.nodeType === Node.ELEMENT_NODE) merge(same, wanted);
    else same.data = wanted.data;
  }
  for (const gone of known.values()) if (!isKept(gone)) gone.remove();
}

// The children by what tells them apart. Forms and buttons that do something else are others, also in the same place.
function keyed(element) {
  const counts = {};
  const key = (node) => {
    if (node.id) return node.id;
    const does = node.nodeName === "FORM" ? node.getAttribute("action") : node.nodeName === "BUTTON" ? node.outerHTML : "";
    const kind = `${node.nodeName} ${does}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
    return `${kind} ${counts[kind]}`;
  };
  return new Map([...element.childNodes].filter((node) => !isKept(node)).map((node) => [key(node), node]));
}

// A form that was refused shows what was typed, as if it were stored.
const isRefused = document.querySelector("main [role=alert]") !== null;

// What was answered to a press is no part of what is stored.
function isKept(node) {
  return node.nodeType === Node.ELEMENT_NODE && node.matches("[role=alert], [role=status]");
}

function isChanged(control) {
  if (control.matches("[type=checkbox], [type=radio]")) return control.checked !== control.defaultChecked;
  if (control.nodeName !== "SELECT") return control.type !== "hidden" && control.value !== control.defaultValue;
  const chosen = [...control.options].findIndex((option) => option.defaultSelected);
  return control.selectedIndex !== Math.max(chosen, 0);
}

// Replaces the parts of the page that change by those of the same page as the server has it now.
function refresh(html, parts = "[data-live]") {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of document.querySelectorAll(parts)) {
    const next = fresh.getElementById(part.id);
    if (!next || part.contains(document.activeElement)) continue;
    const unfolded = [...part.querySelectorAll("details")].map((details) => details.open);
    next.querySelectorAll("details").forEach((details, index) => (details.open = unfolded[index] ?? details.open));
    // A button that is the same stays, so that a press of it while pairs are sold is not lost.
    if (!part.isEqualNode(next)) part.replaceWith(next);
  }
}

// Runs a task at most once in a while, and once more if it was asked for meanwhile.
function throttled(pauseMs, task) {
  let state = "idle";
  return async function run() {
    if (state !== "idle") {
      state = "wanted";
      return;
    }
    state = "busy";
    // A server that is away is asked again with the next change.
    const restMs = await task().catch(() => 0);
    await new Promise((resolve) => setTimeout(resolve, Math.max(pauseMs, restMs ?? 0)));
    const isWanted = state === "wanted";
    state = "idle";
    if (isWanted) run();
  };
}

// A picture that does not come is said beside its field.
const missingPicture = document.getElementById("picture-missing");
if (missingPicture) {
  const isPreviewed = (element) => element.matches?.(".preview img");
  const say = (isMissing) => ({ target }) => {
    if (isPreviewed(target)) missingPicture.hidden = !isMissing;
  };
  document.addEventListener("error", say(true), true);
  document.addEventListener("load", say(false), true);
  document.getElementById("imageUrl").addEventListener("input", () => (missingPicture.hidden = true));
  const failed = [...document.querySelectorAll(".preview img")].some((image) => image.complete && !image.naturalWidth);
  if (failed) missingPicture.hidden = false;
}

// What was done is said once.
const { searchParams, pathname, hash } = new URL(location.href);
if (searchParams.has("done")) {
  searchParams.delete("done");
  history.replaceState(null, "", `${pathname}${searchParams.size ? `?${searchParams}` : ""}${hash}`);
}

// A form with a preview shows what was typed.
for (const form of document.querySelectorAll("form[data-preview]")) {
  const preview = async (rows) => {
    const fields = new URLSearchParams(new FormData(form));
    if (rows) fields.append("rows", rows);
    const answer = await fetch(form.dataset.preview, { method: "POST", body: fields });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  };
  form.addEventListener("input", throttled(400, async () => refresh(await preview())));

  // Rows come, go and move without a new page, one press after the other. What is typed until the answer comes moves along.
  const move = (rows, what, at) => {
    if (what === "add") rows.push(undefined);
    else if (what === "remove") rows.splice(at, 1);
    else rows.splice(what === "up" ? at - 1 : at, 2, ...(what === "up" ? [rows[at], rows[at - 1]] : [rows[at + 1], rows[at]]));
  };
  const changeRows = async ({ id, value }) => {
    const html = await preview(value);
    const rows = form.querySelector("[data-rows]");
    const next = new DOMParser().parseFromString(html, "text/html").getElementById(rows.id);
    const known = [...rows.querySelectorAll("li")];
    const [what, at] = value.split(" ");
    move(known, what, Number(at));
    let focused;
    for (const [index, row] of next.querySelectorAll("li").entries()) {
      const inputs = row.querySelectorAll("input");
      for (const [place, input] of known[index]?.querySelectorAll("input").entries() ?? []) {
        inputs[place].value = input.value;
        if (input === document.activeElement) focused = inputs[place];
      }
    }
    rows.replaceWith(next);
    refresh(html);
    (focused ?? document.getElementById(id) ?? next.querySelector("button")).focus();
  };
  let changed = Promise.resolve();
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=rows]");
    if (!button) return;
    event.preventDefault();
    changed = changed.then(() => changeRows(button)).catch(() => {});
  });
}

// A page that says what is stored follows it: it is fetched anew when something changed, when the next drop starts or ends, and
// every few seconds in case that went unheard. One line in the header says how old it is.
const followed = document.querySelector("[data-follow]")?.dataset;
if (followed) {
  const line = document.getElementById("following");
  const say = (state) => {
    line.dataset.state = state;
    const status = line.querySelector("[role=status]");
    const words = { live: status.dataset.saidLive, reconnecting: status.dataset.saidReconnecting }[state] ?? "";
    // Spoken again only when it is another.
    if (status.textContent !== words) status.textContent = words;
  };

  const fetchPage = async () => {
    const begin = performance.now();
    const at = new Date();
    // Not the address of this page where it is the answer to a form.
    const answer = await fetch(followed.address ?? location.href, { signal: AbortSignal.timeout(LIMIT_MS) });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = fresh.querySelector("main.desk[data-zone]");
    if (answer.status >= 500) throw new Error(answer.statusText);
    if (!main) return say("signedOut");
    merge(document.getElementById("content"), main);
    document.title = fresh.title;
    line.querySelector("time").textContent = at.toLocaleTimeString("en-GB", { timeZone: zone });
    say("live");
    wait(fresh.querySelector("[data-follow]")?.dataset);
    // A page that takes long to read keeps the database busy for a tenth of the time.
    return Math.min(9 * (performance.now() - begin), REST_MS);
  };

  let waiting;
  const wait = (page) => {
    clearTimeout(waiting);
    const untilNext = Date.parse(page?.next) - Date.parse(page?.now);
    // A little later, so that it has happened by the server's clock.
    const pauseMs = Math.min(REST_MS, untilNext >= 0 ? untilNext + 100 : Infinity);
    waiting = setTimeout(() => document.hidden || follow(), pauseMs);
  };
  const follow = throttled(1000, () =>
    fetchPage().catch(() => {
      say("reconnecting");
      wait();
      return 0;
    }),
  );

  let socket;
  let pauseMs = 500;
  const connect = () => {
    const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket = opened;
    let isHeard = true;
    // One that is open but silent, as after sleep, is given up.
    const ask = setInterval(() => {
      if (opened.readyState !== WebSocket.OPEN) return;
      if (!isHeard) return lose();
      isHeard = false;
      opened.send("heartbeat");
    }, LIMIT_MS / 2);
    opened.addEventListener("message", ({ data }) => {
      isHeard = true;
      const event = JSON.parse(data);
      if (event.type === "snapshot") pauseMs = 500;
      const dropId = event.dropId ?? event.drop?.id;
      const isOfPage = dropId !== undefined && ["", String(dropId)].includes(followed.follow);
      if (event.type === "snapshot" || isOfPage) follow();
    });
    const lose = () => {
      clearInterval(ask);
      if (socket !== opened) return;
      socket = undefined;
      opened.close();
      follow();
      setTimeout(connect, pauseMs);
      pauseMs = Math.min(2 * pauseMs, REST_MS);
    };
    opened.addEventListener("close", lose);
  };

  // Whoever looks at the page again sees what is, not what was.
  const look = () => {
    if (document.hidden) return;
    follow();
    if (socket?.readyState === WebSocket.OPEN) socket.send("heartbeat");
  };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pageshow", look);
  window.addEventListener("online", look);
  connect();
}
