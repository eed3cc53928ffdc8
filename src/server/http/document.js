// What a document does without WebAssembly. It runs before the page is shown.

// Puts a time into the visitor's zone. The year is said if it is not this one, or if `hasYear`; the zone on days on which clocks
// are changed, as one hour comes twice.
globalThis.localTime = (milliseconds, hasYear) => {
  const at = new Date(milliseconds);
  const [day, month, date, year, time] = at.toString().match(/^(\w+) (\w+) (\d+) (\d+) (\d+:\d+)/).slice(1);
  const said = hasYear || +year !== new Date().getFullYear() ? ` ${+year}` : "";
  const [midnight, next] = [0, 1].map((days) => new Date(at.getFullYear(), at.getMonth(), at.getDate() + days));
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(at);
  const zone = parts.find(({ type }) => type === "timeZoneName").value;
  const isChanged = midnight.getTimezoneOffset() !== next.getTimezoneOffset();
  return `${day} ${+date} ${month}${said}, ${time}${isChanged ? ` ${zone}` : ""}`;
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

// Copies a text, also where the clipboard's own interface is missing (on plain http) or refused.
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    const focused = document.activeElement;
    field.value = text;
    field.readOnly = true;
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    focused.focus();
    return isCopied;
  }
};

// Shares the address by whatever the device has for it, or else copies it and says so, or else says the address.
addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-share]");
  if (!button) return;
  const url = location.href;
  try {
    return await navigator.share({ url });
  } catch (error) {
    // Whoever closes the device's dialog wants no other.
    if (error.name === "AbortError") return;
  }
  const said = (await copy(url)) ? button.dataset.share : url;
  button.nextElementSibling.textContent = said;
  setTimeout(() => said === button.dataset.share && (button.nextElementSibling.textContent = ""), 5_000);
});
