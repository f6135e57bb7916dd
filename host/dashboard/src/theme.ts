// Light or dark: as the system has it, until somebody chooses.

import { computed, signal } from "@preact/signals";

const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
const chosen = signal<string | null>(localStorage.getItem("tidegate.theme"));

system.addEventListener("change", () => (systemIsDark.value = system.matches));

export const theme = computed(() => chosen.value ?? (systemIsDark.value ? "dark" : "light"));

/** The other one. */
export function toggleTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem("tidegate.theme", chosen.value);
}

theme.subscribe((is) => {
  document.documentElement.dataset.theme = is;
});
