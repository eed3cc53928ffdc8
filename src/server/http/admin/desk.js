// What the desk's pages do beyond forms and links. All of them work without it.
"use strict";

// The server shows and reads times in the zone of this browser.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const knownZone = () => document.cookie.split("; ").find((cookie) => cookie.startsWith("sneakdrop_zone="));
if (zone && knownZone() !== `sneakdrop_zone=${zone}`) {
  document.cookie = `sneakdrop_zone=${zone}; Path=/admin; SameSite=Strict; Max-Age=31536000`;
  // Unless the browser keeps no cookies.
  if (knownZone() === `sneakdrop_zone=${zone}` && zone !== "UTC" && document.querySelector("main.desk[data-zone]")) {
    location.reload();
  }
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

// A form with a preview shows what was typed.
for (const form of document.querySelectorAll("form[data-preview]")) {
  const preview = async (submitter, parts) => {
    const fields = new URLSearchParams(new FormData(form, submitter));
    const answer = await fetch(form.dataset.preview, { method: "POST", body: fields });
    if (answer.ok) refresh(await answer.text(), parts);
  };
  form.addEventListener("input", throttled(400, () => preview()));
  // Rows come, go and move without a new page.
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=rows]");
    if (!button) return;
    event.preventDefault();
    const { id } = button;
    button.blur();
    preview(button, "[data-live], [data-rows]").then(() => {
      const rows = form.querySelector("[data-rows]");
      (document.getElementById(id) ?? rows.querySelector("button")).focus();
    });
  });
}

// A page about a drop follows its events.
const followed = document.querySelector("[data-follow]")?.dataset;
if (followed) {
  const follow = throttled(1000, async () => {
    // Not the address of this page, which after a refused form is that of the form.
    const begin = performance.now();
    const answer = await fetch(followed.address);
    if (!answer.ok) return 0;
    refresh(await answer.text());
    // A board that takes long to read keeps the database busy for a tenth of the time.
    return Math.min(9 * (performance.now() - begin), 10_000);
  });
  let pauseMs = 500;
  const connect = () => {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket.addEventListener("message", ({ data }) => {
      const event = JSON.parse(data);
      const isSnapshot = event.type === "snapshot";
      if (isSnapshot) pauseMs = 500;
      if (isSnapshot || String(event.dropId ?? event.drop?.id) === followed.follow) follow();
    });
    socket.addEventListener("close", () => {
      setTimeout(connect, pauseMs);
      pauseMs = Math.min(2 * pauseMs, 10_000);
    });
  };
  connect();
}
