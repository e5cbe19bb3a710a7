// Puts the page as it is now in the place of what is shown, every few seconds. Where one has scrolled to, what one has
// unfolded and what has the focus stay.
"use strict";
(() => {
  const every = 5000;
  let busy = false;

  const parts = (root) => [...root.querySelectorAll("a, summary")];

  async function refresh() {
    // Nobody looks, or somebody is about to copy something.
    if (busy || document.hidden || !getSelection().isCollapsed) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(every) });
      if (!answer.ok) throw new Error(answer.statusText);
      const seen = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [before, after] = [document.querySelector("main"), seen.querySelector("main")];
      for (const open of before.querySelectorAll("details[open]")) {
        const same = after.querySelector("#" + open.id);
        if (same) same.open = true;
      }
      const focus = parts(before).indexOf(document.activeElement);
      before.replaceWith(document.adoptNode(after));
      if (focus >= 0) parts(after)[focus]?.focus({ preventScroll: true });
      document.title = seen.title;
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale");
    } finally {
      busy = false;
    }
  }

  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();
