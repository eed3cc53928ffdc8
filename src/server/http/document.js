// What a document does without WebAssembly. It runs before the page is shown.

// Puts a time into the visitor's zone. The year is said if it is not this one, or if `hasYear`; the zone on days on which clocks
// are changed, as one hour comes twice.
globalThis.localTime = (milliseconds, hasYear) => {
  const at = new Date(milliseconds);
  const [day, month, date, year, time] = at.toString().match(/^(\w+) (\w+) (\d+) (\d+) (\d+:\d+)/).slice(1);
  const midnight = (days) => new Date(at.getFullYear(), at.getMonth(), at.getDate() + days).getTimezoneOffset();
  const said = hasYear || +year !== new Date().getFullYear() ? ` ${+year}` : "";
  const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(at).find(({ type }) => type === "timeZoneName");
  return `${day} ${+date} ${month}${said}, ${time}${midnight(0) === midnight(1) ? "" : ` ${zone.value}`}`;
};

globalThis.localTimes = () => {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = localTime(Date.parse(time.dateTime), "year" in time.dataset);
  }
};

// Marks pictures that cannot be loaded.
addEventListener("error", ({ target }) => target.localName === "img" && (target.dataset.broken = ""), true);
addEventListener("load", ({ target }) => target.localName === "img" && delete target.dataset.broken, true);

// Unfolds the sizes when none is chosen and one of the folded ones has to be.
addEventListener("invalid", ({ target }) => target.closest("details")?.setAttribute("open", ""), true);

// Who comes to a held pair with the keyboard sees the whole of it. Browsers leave what is seen in part where it is.
addEventListener("focusin", ({ target }) => {
  if (target.matches(":focus-visible")) target.closest(".held-in-bar")?.scrollIntoView({ block: "nearest", inline: "start" });
});

// The first letter, digit or pictogram of a name's first two words that have one, whole: a flag is several characters.
const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter("en");
globalThis.initials = (name) => {
  const graphemes = (word) => (segmenter ? Array.from(segmenter.segment(word), ({ segment }) => segment) : [...word]);
  const isShown = (grapheme) => /^[\p{Alphabetic}\p{N}\u{2600}-\u{26ff}\u{1f000}-\u{1ffff}]/u.test(grapheme);
  const firsts = name.split(/\s+/u).map((word) => graphemes(word).find(isShown));
  return firsts.filter(Boolean).slice(0, 2).join("");
};

// Shares the address by whatever the device has for it, or else copies it and says so. Where nothing may copy, it is shown,
// selected.
addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-share]");
  if (!button) return;
  const said = button.nextElementSibling;
  const url = location.href;
  try {
    return await navigator.share({ url });
  } catch ({ name }) {
    // Whoever closes the device's dialog wants no other.
    if (name === "AbortError") return;
  }
  try {
    await navigator.clipboard.writeText(url);
  } catch {
    said.textContent = url;
    getSelection().selectAllChildren(said);
    if (!document.execCommand("copy")) return;
  }
  said.textContent = button.dataset.share;
  setTimeout(() => said.textContent === button.dataset.share && (said.textContent = ""), 6_000);
});
