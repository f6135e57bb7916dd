// What is said, in the language that was chosen.

import { computed, signal } from "@preact/signals";
import { Problem } from "./api";
import { en } from "./text/en";
import { zh } from "./text/zh";

export type Key = keyof typeof en;

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

const texts: Record<Language, Record<Key, string>> = { en, zh };

export const language = signal<Language>(first());

/** Says it in the language that is chosen now; `{name}` is filled in. */
export function t(key: Key, fill: Record<string, string | number> = {}): string {
  return texts[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(fill[name] ?? whole));
}

/** A word of the gateway's, such as a state, if there is one of ours for it. */
export function word(group: string, of: string): string {
  const key = `${group}.${of}` as Key;
  return texts[language.value][key] ?? of;
}

/** What went wrong, for people. */
export function reason(error: unknown): string {
  if (!(error instanceof Problem)) return String(error instanceof Error ? error.message : error);
  return error.status === 0 ? t("error.unreached") : error.message;
}

export function choose(of: Language): void {
  language.value = of;
  localStorage.setItem("tidegate.language", of);
}

const lang = computed(() => (language.value === "zh" ? "zh-CN" : "en"));
lang.subscribe((of) => {
  document.documentElement.lang = of;
});

function first(): Language {
  const kept = localStorage.getItem("tidegate.language");
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}
