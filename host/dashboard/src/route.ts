// Which page is shown: the path of the address bar, as a signal.

import { signal } from "@preact/signals";

export const address = signal(location.pathname + location.search);

addEventListener("popstate", () => {
  address.value = location.pathname + location.search;
});

/** Shows this page. */
export function go(to: string, replace = false): void {
  if (to === address.value) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  const isOther = to.split("?")[0] !== address.value.split("?")[0];
  address.value = to;
  if (isOther) {
    scrollTo(0, 0);
    document.getElementById("page")?.focus({ preventScroll: true });
  }
}

/** Segments of the path, decoded. */
export function segments(of: string): string[] {
  return (of.split("?")[0] ?? "")
    .split("/")
    .filter((part) => part !== "")
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}

export function search(of: string): URLSearchParams {
  return new URLSearchParams(of.split("?")[1] ?? "");
}

/** Links within the dashboard change the page without loading it again. */
export function followLinks(): void {
  document.addEventListener("click", (event) => {
    const link = (event.target as Element | null)?.closest?.("a[href^='/']");
    if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const to = link.getAttribute("href") ?? "/";
    if (to.startsWith("/api") || link.hasAttribute("download") || link.getAttribute("target")) return;
    event.preventDefault();
    go(to);
  });
}
