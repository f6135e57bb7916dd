// A new artifact of a translator: checked first, tried if wanted, and only then put in service.

import { useSignal, type Signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ask, query } from "../api";
import * as format from "../format";
import { Icon } from "../icon";
import { Badge, Button, Card, confirm, say, useAction } from "../part";
import { reason, t } from "../text";
import type { Attempt, Translator } from "../type";

/** An artifact that the gateway has checked and keeps, but that does not serve. */
export interface Candidate {
  file: File;
  sha256: string;
}

/** Bigger is no translator. */
const LARGEST = 32 << 20;
const EXAMPLES = {
  event: { event: { endpoint: "dev1", cause: "registered", registration: { lifetime: 300, parameters: [["ep", "dev1"], ["lt", "300"], ["lwm2m", "1.1"]], objects: ["/1/0", "/3/0", "/3303/0"], attributes: [] } } },
  message: { message: { topic: "lwm2m/dev1/dn/dm", payload: '{"reqID":1,"msgType":"read","data":{"path":"/3/0/0"}}' } },
};

export function Drop({ name, candidate, done }: { name: string; candidate: Signal<Candidate | null>; done: () => void }) {
  const isOver = useSignal(false);
  const wrong = useSignal("");
  const picker = useRef<HTMLInputElement>(null);
  const check = useAction();
  const activate = useAction();
  const take = (file: File | undefined) => {
    wrong.value = "";
    candidate.value = null;
    if (!file) return;
    if (!/\.(wasm|js)$/i.test(file.name)) {
      wrong.value = t("drop.kind", { file: file.name });
      return;
    }
    if (file.size > LARGEST) {
      wrong.value = t("drop.size", { size: format.bytes(file.size) });
      return;
    }
    check.run(async () => {
      try {
        const kept = await put<{ sha256?: string }>(name, file, false);
        candidate.value = { file, sha256: kept.sha256 ?? "" };
      } catch (error) {
        wrong.value = reason(error);
      }
    });
  };
  const goLive = async (of: Candidate) => {
    if (!(await confirm(t("drop.activateTitle"), t("drop.activateText", { name, file: of.file.name }), t("drop.activate")))) return;
    const now = await put<Translator>(name, of.file, true);
    candidate.value = null;
    say("good", t("drop.activated", { name, n: now?.generation ?? "" }));
    done();
  };
  const of = candidate.value;
  return (
    <Card title={t("drop.title")}>
      <div
        class={`drop${isOver.value ? " over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          isOver.value = true;
        }}
        onDragLeave={() => (isOver.value = false)}
        onDrop={(event) => {
          event.preventDefault();
          isOver.value = false;
          take(event.dataTransfer?.files[0]);
        }}
      >
        {check.busy ? <span class="spinner" /> : <Icon name="upload" size={26} />}
        <p class="strong">{check.busy ? t("drop.checking") : t("drop.here")}</p>
        <p class="faint">{t("drop.promise")}</p>
        <Button label={t("drop.choose")} onClick={() => picker.current?.click()} />
        <input
          ref={picker}
          class="hidden"
          type="file"
          tabIndex={-1}
          aria-label={t("drop.choose")}
          accept=".wasm,.js"
          onChange={(event) => {
            take(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
      </div>
      {wrong.value && (
        <div class="notice bad" role="alert">
          <strong>{t("drop.refused")}</strong>
          <pre>{wrong.value}</pre>
        </div>
      )}
      {of && (
        <div class="notice good" role="status">
          <strong>{t("drop.fits", { file: of.file.name })}</strong>
          <span class="faint">{format.bytes(of.file.size)} · <code>{of.sha256.slice(0, 16)}</code></span>
          <div class="row">
            <Button kind="primary" label={t("drop.activate")} busy={activate.busy} onClick={() => activate.run(() => goLive(of))} />
            <Button label={t("drop.discard")} onClick={() => (candidate.value = null)} />
          </div>
        </div>
      )}
    </Card>
  );
}

export function Try({ name, input, candidate }: { name: string; input: Signal<string>; candidate: Signal<Candidate | null> }) {
  const result = useSignal<Attempt | null>(null);
  const wrong = useSignal("");
  const withCandidate = useSignal(true);
  const action = useAction();
  const of = withCandidate.value ? candidate.value : null;
  const run = () => {
    wrong.value = "";
    result.value = null;
    let body: unknown;
    try {
      body = JSON.parse(input.value);
    } catch (error) {
      wrong.value = t("try.notJson", { reason: (error as Error).message });
      return;
    }
    action.run(async () => {
      try {
        result.value = await ask<Attempt>(`translators/${encodeURIComponent(name)}/try${query({ artifact: of?.sha256 })}`, { method: "POST", body });
      } catch (error) {
        wrong.value = reason(error);
      }
    });
  };
  const shown = result.value;
  return (
    <Card
      title={t("try.title")}
      actions={[
        <Button key="event" kind="quiet" label={t("try.event")} onClick={() => (input.value = JSON.stringify(EXAMPLES.event, null, 2))} />,
        <Button key="message" kind="quiet" label={t("try.message")} onClick={() => (input.value = JSON.stringify(EXAMPLES.message, null, 2))} />,
      ]}
    >
      <div class="form" id="try">
        <label>
          <span class="faint">{t("try.what")}</span>
          <textarea rows={9} spellcheck={false} placeholder={'{ "event": … }'} value={input.value} onInput={(event) => (input.value = event.currentTarget.value)} />
        </label>
        {candidate.value && (
          <label class="check">
            <input type="checkbox" checked={withCandidate.value} onChange={(event) => (withCandidate.value = event.currentTarget.checked)} />
            {t("try.candidate", { file: candidate.value.file.name })}
          </label>
        )}
        <div class="row">
          <Button kind="primary" icon="execute" label={t("try.action")} busy={action.busy} disabled={input.value.trim() === ""} onClick={run} />
          {shown && <span class="faint number">{[shown.fuel !== undefined && t("try.fuel", { n: format.count(shown.fuel) }), shown.took_us !== undefined && format.milliseconds(shown.took_us / 1000)].filter(Boolean).join(" · ")}</span>}
        </div>
        {wrong.value && <div class="notice bad" role="alert"><pre>{wrong.value}</pre></div>}
        {shown && (
          <div class={`notice ${shown.fault ? "bad" : "good"}`} role="status">
            <Badge tone={shown.fault ? "bad" : "good"}>{shown.fault ? t("try.fault") : t("try.actions", { n: shown.actions?.length ?? 0 })}</Badge>
            <pre>{shown.fault ? text(shown.fault) : JSON.stringify(shown.actions, null, 2)}</pre>
          </div>
        )}
      </div>
    </Card>
  );
}

function put<T>(name: string, file: File, activate: boolean): Promise<T> {
  const type = file.name.toLowerCase().endsWith(".js") ? "text/javascript" : "application/wasm";
  return ask<T>(`translators/${encodeURIComponent(name)}/artifact${query({ activate })}`, { method: "PUT", body: file, type });
}

function text(fault: unknown): string {
  const { cause, reason: why } = fault as { cause?: unknown; reason?: unknown };
  return typeof why === "string" ? `${typeof cause === "string" ? `${cause}: ` : ""}${why}` : JSON.stringify(fault, null, 2);
}
