// What happens now: streams of events that come back by themselves, and answers that are asked again.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem, ask, follow, query, reached, signInNeeded } from "./api";
import type { Event } from "./type";

/** Counts up when everything shown has to be asked again: after a sign-in, or when the gateway is back. */
export const epoch = signal(0);

export interface Loaded<T> {
  data: T | undefined;
  error: Problem | undefined;
  loading: boolean;
  reload: () => void;
}

/** The answer to this path, asked again each `every` ms while the page is looked at; no path, no question. */
export function useAnswer<T>(path: string | null, every = 0): Loaded<T> {
  const [state, setState] = useState<{ path: string | null; data?: T | undefined; error?: Problem | undefined; loading: boolean }>({ path, loading: true });
  const [turn, setTurn] = useState(0);
  const now = epoch.value;
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    let timer = 0;
    const load = async () => {
      try {
        const data = await ask<T>(path, { signal: abort.signal });
        setState({ path, data, loading: false });
      } catch (error) {
        if (abort.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(-1, "", String(error));
        setState((old) => ({ path, data: old.path === path ? old.data : undefined, error: problem, loading: false }));
      }
      if (every > 0 && !abort.signal.aborted) timer = window.setTimeout(again, every);
    };
    const again = () => (document.hidden ? (timer = window.setTimeout(again, every)) : void load());
    setState((old) => (old.path === path ? { ...old, loading: true } : { path, loading: true }));
    void load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, every, turn, now]);
  const isThis = state.path === path;
  return { data: isThis ? state.data : undefined, error: isThis ? state.error : undefined, loading: !isThis || state.loading, reload: () => setTurn((of) => of + 1) };
}

/** Events of these types while the component is shown. */
export function useEvents(types: string, endpoint: string | undefined, take: (event: Event) => void, isOn = true): void {
  const taker = useRef(take);
  taker.current = take;
  const now = epoch.value;
  useEffect(() => {
    if (!isOn) return;
    const abort = new AbortController();
    void listen(`events${query({ types, endpoint })}`, abort.signal, (event) => taker.current(event));
    return () => abort.abort();
  }, [types, endpoint, isOn, now]);
}

async function listen(path: string, signal: AbortSignal, take: (event: Event) => void): Promise<void> {
  let pause = 500;
  while (!signal.aborted && !signInNeeded.value) {
    try {
      await follow(path, signal, (type, data) => {
        pause = 500;
        let event: Event;
        try {
          event = JSON.parse(data) as Event;
        } catch {
          return;
        }
        take({ ...event, type: event.type ?? type });
      });
    } catch {
      // Asked again below; that the gateway is away is said by the banner.
    }
    await wait(pause, signal);
    pause = Math.min(pause * 2, 8000);
  }
}

/** Asks now and then whether the gateway is there, and has everything asked again when it is back. */
export function watchConnection(): void {
  let wasReached = true;
  reached.subscribe((is) => {
    if (is && !wasReached) queueMicrotask(() => (epoch.value += 1));
    wasReached = is;
  });
  const look = async () => {
    if (!document.hidden) {
      try {
        const response = await fetch("/healthz", { cache: "no-store", credentials: "omit" });
        reached.value = response.ok;
      } catch {
        reached.value = false;
      }
    }
    setTimeout(look, reached.value ? 3000 : 1500);
  };
  setTimeout(look, 3000);
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
