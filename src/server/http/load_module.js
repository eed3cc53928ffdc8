// Starts the compiled page. Called with the addresses of its two files, the shape of the document as it was served, the ids of
// the element with the page and of the one that says that part of it did not load, and the word for a lost connection. Until the
// page runs, and after it stopped, every form is submitted by the browser itself.
(async (script, wasm, shape, rootId, failureId, offline) => {
  const root = document.getElementById(rootId);
  let isStopped = false;

  // Browsers that know no popovers throw at the name of what they do not know.
  const openDialog = () => {
    try {
      return root.querySelector(":popover-open");
    } catch {}
  };

  // The same checksum as the server's.
  const currentShape = () =>
    root.innerHTML
      .match(/[^>]?<./gs)
      .reduce((sum, mark) => (Math.imul(sum, 31) + (mark.length - 2 ? -1 : 1) * mark.charCodeAt(mark.length - 1)) | 0, 0);

  const stop = (error) => {
    const isLive = document.documentElement.hasAttribute("data-hydrated");
    console.error(isLive ? "the page stopped:" : "the page could not start:", error);
    const isAtStake = root.querySelector(".bar:not([hidden])") ?? openDialog();
    isStopped = true;
    document.documentElement.removeAttribute("data-hydrated");
    const status = root.querySelector(".connection");
    status.dataset.state = "offline";
    status.textContent = offline;
    const failure = document.getElementById(failureId);
    document.getElementById("main").prepend(failure);
    failure.hidden = false;
    try {
      if (isLive && !isAtStake && sessionStorage.getItem("sneakdrop.reloaded") !== script) {
        sessionStorage.setItem("sneakdrop.reloaded", script);
        location.reload();
      }
    } catch {}
  };
  // The listeners of a module that is dead must not hear of anything.
  for (const name of ["click", "submit", "change", "popstate"]) {
    addEventListener(name, (event) => isStopped && event.stopImmediatePropagation(), true);
  }

  // What follows is in a task of its own, as the steps of a start take long on a slow phone.
  const task = () => new Promise((resolve) => setTimeout(resolve));

  const start = async (address, isIntact, died) => {
    let isOver = false;
    const over = (next, error) => {
      if (!isOver) {
        isOver = true;
        next(error);
      }
    };
    let next = stop;
    try {
      // Both at once; a response that fails is reported by the second line.
      const response = fetch(wasm);
      response.catch(() => {});
      const page = await import(address);
      await page.default({ module_or_path: response });
      next = died;
      await task();
      page.read((panic) => over(died, panic));
      await task();
      const isAsServed = isIntact();
      if (isAsServed) {
        page.show_top(true);
        let isChanged = false;
        const changes = new MutationObserver(() => (isChanged = true));
        changes.observe(root, { childList: true });
        for (let rest = document.getElementById("main"); rest; rest = rest.nextElementSibling) {
          changes.observe(rest, { childList: true, subtree: true });
        }
        await task();
        changes.disconnect();
        if (isChanged) throw "something changed it on the way";
      }
      // What people have typed and chosen meanwhile.
      const { value, id } = root.querySelector("#username") ?? {};
      const dialog = openDialog()?.id;
      try {
        for (const size of root.querySelectorAll("[name=size]:checked")) {
          // What the server has preselected is nobody's choice.
          if (size.defaultChecked) continue;
          sessionStorage.setItem(`sneakdrop.size.${size.closest("article").getAttribute("aria-labelledby")}`, size.value);
        }
      } catch {}
      // A document that is rendered anew is never seen in part.
      if (!isAsServed) page.show_top(false);
      page.show_rest();
      const typed = document.getElementById(id);
      if (typed && !typed.value) {
        typed.value = value;
      }
      if (dialog && !openDialog()) {
        document.getElementById(dialog)?.showPopover();
      }
      // What makes the page live runs before any timer.
      await task();
      if (!document.documentElement.hasAttribute("data-hydrated")) throw "it did not start";
    } catch (error) {
      over(next, error);
    }
  };

  // What the page shows comes first: the module would take the bandwidth from its styles, fonts and pictures. A tab in the
  // background paints nothing.
  if (!document.hidden) {
    await new Promise((resolve) => {
      new PerformanceObserver(resolve).observe({ type: "paint", buffered: true });
      setTimeout(resolve, 1_000);
    });
  }

  // A module that panics on the way is dead; a second one renders the document anew.
  const isIntact = () => currentShape() === shape;
  await start(script, isIntact, (error) => {
    if (document.documentElement.hasAttribute("data-hydrated")) {
      stop(error);
    } else {
      console.error("the page starts anew:", error);
      start(`${script}?anew`, () => false, stop);
    }
  });
})
