// What a document does without WebAssembly. It runs before the page is shown.

// Puts a time into the visitor's zone. The year is said if it is not this one, or if `hasYear`.
globalThis.localTime = (milliseconds, hasYear) => {
  const at = new Date(milliseconds);
  const [day, month, date, year, time] = at.toString().match(/^(\w+) (\w+) (\d+) (\d+) (\d+:\d+)/).slice(1);
  const said = hasYear || +year !== new Date().getFullYear() ? ` ${+year}` : "";
  return `${day} ${+date} ${month}${said}, ${time}`;
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

// Shares the address by whatever the device has for it, or else copies it and says so.
addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-share]");
  const url = location.href;
  if (button && navigator.share) {
    // Whoever closes the device's dialog wants no other.
    await navigator.share({ url }).catch(() => {});
  } else if (button) {
    await navigator.clipboard.writeText(url);
    button.textContent = button.dataset.share;
  }
});
