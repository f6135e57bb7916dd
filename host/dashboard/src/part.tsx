// Parts that pages are made of.

import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Problem } from "./api";
import * as format from "./format";
import { Icon, type IconName } from "./icon";
import { t, reason } from "./text";

/** The name of a page, and what can be done on it. */
export function Heading({ title, note, back, children }: { title: string; note?: ComponentChildren; back?: { href: string; label: string }; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Tidegate`;
  }, [title]);
  return (
    <header class="heading">
      <div class="heading-title">
        {back && (
          <a class="back" href={back.href}>
            <Icon name="left" size={14} />
            {back.label}
          </a>
        )}
        <h1>{title}</h1>
        {note !== undefined && <div class="note">{note}</div>}
      </div>
      {children && <div class="row">{children}</div>}
    </header>
  );
}

export function Card({ title, children, actions, flush }: { title?: ComponentChildren; children: ComponentChildren; actions?: ComponentChildren; flush?: boolean }) {
  return (
    <section class={`card${flush ? " flush" : ""}`}>
      {(title !== undefined || actions) && (
        <div class="card-head">
          <h2>{title}</h2>
          {actions && <div class="row">{actions}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

interface ButtonProps {
  label: string;
  icon?: IconName;
  kind?: "primary" | "danger" | "quiet";
  /** Shows the icon alone; the label is what is read out. */
  bare?: boolean;
  busy?: boolean;
  disabled?: boolean;
  pressed?: boolean;
  submit?: boolean;
  /** In place of the label for those who hear it. */
  about?: string;
  onClick?: () => void;
}

export function Button({ label, icon, kind, bare, busy, disabled, pressed, submit, about, onClick }: ButtonProps) {
  return (
    <button
      type={submit ? "submit" : "button"}
      class={`button ${kind ?? ""}${bare ? " bare" : ""}`}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      aria-pressed={pressed}
      aria-label={about ?? (bare ? label : undefined)}
      title={bare ? label : undefined}
      onClick={onClick}
    >
      {busy ? <span class="spinner" /> : icon && <Icon name={icon} size={16} />}
      {!bare && <span>{label}</span>}
    </button>
  );
}

export type Tone = "good" | "warn" | "bad" | "calm";

export function Badge({ tone = "calm", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

/** A time, as how long ago; the whole of it on hover. */
export function Ago({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="faint">–</span>;
  const seconds = format.age(at);
  const text = seconds < -1 ? t("time.in", { d: format.duration(-seconds) }) : seconds < 2 ? t("time.now") : t("time.ago", { d: format.duration(seconds) });
  return (
    <time dateTime={at} title={format.moment(at)}>
      {text}
    </time>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={28} />
      <p class="strong">{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

/** What could not be had, and a way to ask again. */
export function Failure({ error, retry }: { error: Problem; retry?: () => void }) {
  return (
    <div class="empty" role="alert">
      <Icon name="warning" size={28} />
      <p class="strong">{error.status > 0 ? t("error.status", { status: error.status }) : t("error.title")}</p>
      <p class="reason">{reason(error)}</p>
      {retry && <Button label={t("action.retry")} icon="reload" onClick={retry} />}
    </div>
  );
}

export function Waiting({ rows = 5 }: { rows?: number }) {
  return (
    <div class="waiting" role="status" aria-label={t("state.loading")}>
      {Array.from({ length: rows }, (_, at) => (
        <div class="bone" key={at} />
      ))}
    </div>
  );
}

/** Tabs; arrows move between them. */
export function Tabs<T extends string>({ tabs, chosen, choose, label }: { tabs: { id: T; label: string; count?: number | null }[]; chosen: T; choose: (id: T) => void; label: string }) {
  const move = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const next = tabs[(tabs.findIndex((tab) => tab.id === chosen) + step + tabs.length) % tabs.length];
    if (!next) return;
    choose(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map((tab) => (
        <button key={tab.id} id={`tab-${tab.id}`} type="button" role="tab" aria-selected={tab.id === chosen} tabIndex={tab.id === chosen ? 0 : -1} onClick={() => choose(tab.id)}>
          {tab.label}
          {tab.count ? <span class="tab-count">{format.count(tab.count)}</span> : null}
        </button>
      ))}
    </div>
  );
}

/** A dialog over the page; Escape closes it. */
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    element.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => event.target === element.current && close()}
    >
      <div class="dialog">
        <h2 id={id}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface Question {
  title: string;
  text: string;
  action: string;
  answer: (is: boolean) => void;
}

const question = signal<Question | null>(null);

/** Whether somebody really wants this. */
export function confirm(title: string, text: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      title,
      text,
      action,
      answer: (is) => {
        question.value = null;
        resolve(is);
      },
    };
  });
}

export function Confirmation() {
  const asked = question.value;
  if (!asked) return null;
  return (
    <Dialog title={asked.title} close={() => asked.answer(false)}>
      <p>{asked.text}</p>
      <div class="row end">
        <Button label={t("action.cancel")} onClick={() => asked.answer(false)} />
        <Button label={asked.action} kind="danger" onClick={() => asked.answer(true)} />
      </div>
    </Dialog>
  );
}

interface Toast {
  id: number;
  tone: Tone;
  text: string;
}

const toasts = signal<Toast[]>([]);
let toastId = 0;

/** Says it in the corner for some seconds. */
export function say(tone: Tone, text: string): void {
  const id = (toastId += 1);
  toasts.value = [...toasts.value.slice(-3), { id, tone, text }];
  setTimeout(() => (toasts.value = toasts.value.filter((toast) => toast.id !== id)), tone === "bad" ? 9000 : 4500);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div class={`toast ${toast.tone}`} key={toast.id}>
          <span>{toast.text}</span>
          <Button label={t("action.close")} icon="close" kind="quiet" bare onClick={() => (toasts.value = toasts.value.filter((it) => it !== toast))} />
        </div>
      ))}
    </div>
  );
}

/** Does it, shows that it is being done, and says what went wrong. */
export function useAction(): { busy: boolean; run: (what: () => Promise<void>) => void } {
  const busy = useSignal(false);
  const run = (what: () => Promise<void>) => {
    if (busy.value) return;
    busy.value = true;
    what()
      .catch((error: unknown) => say("bad", reason(error)))
      .finally(() => (busy.value = false));
  };
  return { busy: busy.value, run };
}

/** Names and what they are. */
export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
