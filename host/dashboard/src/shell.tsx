// The frame around every page: navigation, theme, language, sign-in, and what is said of the connection.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { isSignedIn, reached, refusal, signIn, signInNeeded, signOut } from "./api";
import { Icon, type IconName } from "./icon";
import { epoch } from "./live";
import { ClientPage } from "./page/client";
import { ClientsPage } from "./page/clients";
import { LogPage } from "./page/log";
import { MqttPage } from "./page/mqtt";
import { OverviewPage } from "./page/overview";
import { TranslatorPage } from "./page/translator";
import { TranslatorsPage } from "./page/translators";
import { Button, Confirmation, Dialog, Empty, Toasts } from "./part";
import { address, go, segments } from "./route";
import { LANGUAGES, choose, language, t, type Key } from "./text";
import { theme, toggleTheme } from "./theme";

const PAGES: { path: string; icon: IconName; label: Key; key: string }[] = [
  { path: "/", icon: "overview", label: "nav.overview", key: "o" },
  { path: "/clients", icon: "clients", label: "nav.clients", key: "c" },
  { path: "/translators", icon: "translators", label: "nav.translators", key: "t" },
  { path: "/mqtt", icon: "mqtt", label: "nav.mqtt", key: "m" },
  { path: "/log", icon: "log", label: "nav.log", key: "l" },
];

export function Shell() {
  const isHelping = useSignal(false);
  useEffect(() => onKeys(() => (isHelping.value = true)), []);
  const here = `/${segments(address.value)[0] ?? ""}`;
  return (
    <>
      <a class="skip" href="#page">
        {t("nav.skip")}
      </a>
      <div class="frame">
        <nav class="side" aria-label={t("nav.label")}>
          <a class="brand" href="/">
            <img src="/icon.svg" alt="" width="26" height="26" />
            <span>Tidegate</span>
          </a>
          <ul>
            {PAGES.map((page) => (
              <li key={page.path}>
                <a href={page.path} aria-current={page.path === here ? "page" : undefined}>
                  <Icon name={page.icon} size={20} />
                  <span>{t(page.label)}</span>
                </a>
              </li>
            ))}
          </ul>
          <Tools help={() => (isHelping.value = true)} />
        </nav>
        <div class="main">
          {!reached.value && (
            <div class="banner" role="alert">
              <span class="spinner" />
              {t("banner.lost")}
            </div>
          )}
          <main id="page" tabIndex={-1}>
            <CurrentPage />
          </main>
        </div>
      </div>
      {signInNeeded.value && <SignIn />}
      {isHelping.value && <Help close={() => (isHelping.value = false)} />}
      <Confirmation />
      <Toasts />
    </>
  );
}

function Tools({ help }: { help: () => void }) {
  return (
    <div class="tools">
      <label class="language">
        <span class="hidden">{t("tools.language")}</span>
        <select value={language.value} onChange={(event) => choose(event.currentTarget.value as keyof typeof LANGUAGES)}>
          {Object.entries(LANGUAGES).map(([id, name]) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <Button bare kind="quiet" icon={theme.value === "dark" ? "sun" : "moon"} label={t(theme.value === "dark" ? "tools.light" : "tools.dark")} onClick={toggleTheme} />
      <Button bare kind="quiet" icon="help" label={t("tools.keys")} onClick={help} />
      {isSignedIn() && <Button bare kind="quiet" icon="key" label={t("tools.signOut")} onClick={signOut} />}
    </div>
  );
}

function CurrentPage() {
  const [first, second, ...rest] = segments(address.value);
  if (first === undefined) return <OverviewPage />;
  if (first === "clients" && second === undefined) return <ClientsPage />;
  if (first === "clients" && second !== undefined && rest.length === 0) return <ClientPage endpoint={second} key={second} />;
  if (first === "translators" && second === undefined) return <TranslatorsPage />;
  if (first === "translators" && second !== undefined && rest.length === 0) return <TranslatorPage name={second} key={second} />;
  if (first === "mqtt") return <MqttPage />;
  if (first === "log") return <LogPage />;
  return (
    <Empty icon="discover" title={t("error.nothingHere")}>
      <a href="/">{t("nav.overview")}</a>
    </Empty>
  );
}

function SignIn() {
  const given = useSignal("");
  return (
    <Dialog title={t("signIn.title")} close={() => undefined}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (given.value.trim() === "") return;
          signIn(given.value);
          epoch.value += 1;
        }}
      >
        <p>{t("signIn.text")}</p>
        <pre>tidegate token add NAME --role read</pre>
        <label>
          {t("signIn.token")}
          <input type="password" autocomplete="off" autofocus value={given.value} onInput={(event) => (given.value = event.currentTarget.value)} />
        </label>
        {refusal.value && (
          <p class="wrong" role="alert">
            {refusal.value}
          </p>
        )}
        <div class="row end">
          <Button submit kind="primary" label={t("signIn.action")} disabled={given.value.trim() === ""} />
        </div>
      </form>
    </Dialog>
  );
}

function Help({ close }: { close: () => void }) {
  const keys: [string, string][] = [["/", t("keys.search")], ...PAGES.map((page): [string, string] => [`g ${page.key}`, t(page.label)]), ["?", t("tools.keys")], ["Esc", t("action.close")]];
  return (
    <Dialog title={t("tools.keys")} close={close}>
      <dl class="keys">
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>
              {key.split(" ").map((part) => (
                <kbd key={part}>{part}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <div class="row end">
        <Button label={t("action.close")} onClick={close} />
      </div>
    </Dialog>
  );
}

/** `/` searches, `g` and a letter goes to a page, `?` tells. */
function onKeys(help: () => void): () => void {
  let isGoing = 0;
  const take = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || document.querySelector("dialog[open]")) return;
    const page = Date.now() - isGoing < 1200 && PAGES.find((it) => it.key === event.key);
    isGoing = event.key === "g" ? Date.now() : 0;
    if (page) {
      go(page.path);
    } else if (event.key === "/") {
      const field = document.querySelector<HTMLInputElement>("input[type=search]");
      if (!field) go("/clients");
      else field.focus();
    } else if (event.key === "?") {
      help();
    } else {
      return;
    }
    event.preventDefault();
  };
  document.addEventListener("keydown", take);
  return () => document.removeEventListener("keydown", take);
}
