// Loads the compiled page and hydrates the document. Called with the addresses of its two files and the id of the element
// that says that this failed. Until then, and after a failure, every form is submitted by the browser itself.
(async (script, wasm, failureId) => {
  const failed = (error) => {
    console.error("the page could not start:", error);
    const failure = document.getElementById(failureId);
    document.getElementById("main").prepend(failure);
    failure.hidden = false;
  };
  try {
    const page = await import(script);
    await page.default({ module_or_path: wasm });
    page.hydrate();
    // What starts the page runs in tasks of its own, before any timer.
    setTimeout(() => document.documentElement.hasAttribute("data-hydrated") || failed("it stopped on its way"));
  } catch (error) {
    failed(error);
  }
})
