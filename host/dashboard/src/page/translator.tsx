// A translator: state and history, its faults with what caused them, a new artifact, and a call to try.

import { useSignal } from "@preact/signals";
import { ask } from "../api";
import * as format from "../format";
import { useAnswer, useEvents } from "../live";
import { Ago, Badge, Button, Card, Empty, Facts, Failure, Heading, Waiting, confirm, say, useAction } from "../part";
import { t, word } from "../text";
import type { Fault, List, Translator } from "../type";
import { Drop, Try, type Candidate } from "./translator-trial";
import { tone } from "./translators";

export function TranslatorPage({ name }: { name: string }) {
  const answer = useAnswer<List<Translator>>("translators", 5000);
  const input = useSignal("");
  const candidate = useSignal<Candidate | null>(null);
  useEvents("translators", undefined, answer.reload);
  const back = { href: "/translators", label: t("nav.translators") };
  const translator = answer.data?.data.find((it) => it.name === name);
  if (!translator) {
    return (
      <>
        <Heading title={name} back={back} />
        <Card>{answer.error ? <Failure error={answer.error} retry={answer.reload} /> : answer.data ? <Empty icon="translators" title={t("translators.gone", { name })} /> : <Waiting />}</Card>
      </>
    );
  }
  const tryInput = (fault: Fault) => {
    input.value = JSON.stringify(fault.input, null, 2);
    document.getElementById("try")?.scrollIntoView({ behavior: "smooth", block: "center" });
  };
  return (
    <>
      <Heading title={name} back={back} note={<Badge tone={tone(translator.state)}>{word("state", translator.state)}</Badge>}>
        <Actions translator={translator} done={answer.reload} />
      </Heading>
      {translator.last_rejection && translator.last_rejection.at > translator.since && (
        <div class="notice bad">
          <span class="row">
            <strong>{t("translators.rejected")}</strong>
            <span class="faint"><Ago at={translator.last_rejection.at} /></span>
          </span>
          <pre>{translator.last_rejection.reason}</pre>
        </div>
      )}
      <div class="two">
        <State translator={translator} />
        <History translator={translator} />
      </div>
      <div class="two">
        <Drop name={name} candidate={candidate} done={answer.reload} />
        <Try name={name} input={input} candidate={candidate} />
      </div>
      <Faults name={name} tryInput={tryInput} />
    </>
  );
}

function Actions({ translator, done }: { translator: Translator; done: () => void }) {
  const reload = useAction();
  const revert = useAction();
  const path = `translators/${encodeURIComponent(translator.name)}`;
  const doReload = async () => {
    const now = await ask<Translator>(`${path}/reload`, { method: "POST" });
    say("good", t("translators.reloaded", { name: translator.name, n: now?.generation ?? "" }));
    done();
  };
  const doRevert = async () => {
    if (!(await confirm(t("translators.revertTitle"), t("translators.revertText", { name: translator.name }), t("action.revert")))) return;
    const now = await ask<Translator>(`${path}/revert`, { method: "POST" });
    say("good", t("translators.reverted", { name: translator.name, n: now?.generation ?? "" }));
    done();
  };
  return (
    <>
      <Button icon="reload" label={t("action.reload")} busy={reload.busy} onClick={() => reload.run(doReload)} />
      <Button icon="revert" label={t("action.revert")} disabled={!translator.can_revert} busy={revert.busy} onClick={() => revert.run(doRevert)} />
    </>
  );
}

function State({ translator }: { translator: Translator }) {
  const totals = Object.entries(translator.totals);
  return (
    <Card title={t("translators.state")}>
      <Facts
        facts={[
          [t("translators.generation"), <span class="number">{translator.generation}{translator.draining > 0 && <Badge tone="warn">{t("translators.draining", { n: translator.draining })}</Badge>}</span>],
          [t("translators.since"), <Ago at={translator.since} />],
          [t("translators.artifact"), <code>{translator.artifact}</code>],
          ["SHA-256", <code title={translator.sha256}>{translator.sha256.slice(0, 16)}…</code>],
          [t("translators.subscriptions"), translator.subscriptions.length === 0 ? "–" : translator.subscriptions.map((it) => <code class="block" key={it}>{it}</code>)],
          ...totals.map(([name, value]): [string, preact.ComponentChildren] => [word("total", name), <span class="number">{format.count(value)}</span>]),
        ]}
      />
      <details>
        <summary>{t("translators.settings")}</summary>
        <pre>{JSON.stringify(translator.settings, null, 2)}</pre>
      </details>
    </Card>
  );
}

function History({ translator }: { translator: Translator }) {
  return (
    <Card title={t("translators.history")}>
      {translator.history.length === 0 ? (
        <Empty icon="reload" title={t("translators.noHistory")} />
      ) : (
        <ol class="history">
          {translator.history.map((it, at) => (
            <li key={`${it.at} ${at}`} class={it.reason ? "bad" : ""}>
              <span class="row">
                <span class="strong">{word("what", it.what)}</span>
                <span class="faint number">{t("translators.generationN", { n: it.generation })}</span>
                <span class="fill" />
                <span class="faint"><Ago at={it.at} /></span>
              </span>
              {it.reason && <span class="reason">{it.reason}</span>}
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

function Faults({ name, tryInput }: { name: string; tryInput: (fault: Fault) => void }) {
  const answer = useAnswer<List<Fault>>(`translators/${encodeURIComponent(name)}/faults`, 5000);
  const all = answer.data?.data;
  return (
    <Card title={t("translators.faults")} flush>
      {answer.error && !all ? (
        <Failure error={answer.error} retry={answer.reload} />
      ) : !all ? (
        <Waiting />
      ) : all.length === 0 ? (
        <Empty icon="translators" title={t("faults.none")}>{t("faults.noneHint")}</Empty>
      ) : (
        <ol class="exchanges">
          {all.map((fault, at) => (
            <li key={`${fault.at} ${at}`}>
              <details>
                <summary>
                  <span class="number faint"><Ago at={fault.at} /></span>
                  <Badge tone="bad">{fault.cause}</Badge>
                  <span class="fill cut">{fault.reason}</span>
                  <span class="faint wide">{fault.direction}</span>
                </summary>
                <pre class="reason">{fault.reason}</pre>
                <dl class="facts">
                  <div><dt>{t("faults.about")}</dt><dd>{fault.about ?? "–"}</dd></div>
                  <div><dt>{t("faults.outcome")}</dt><dd>{fault.outcome}</dd></div>
                </dl>
                <div class="row spread">
                  <span class="strong">{t("faults.input")}</span>
                  <Button icon="execute" label={t("faults.try")} onClick={() => tryInput(fault)} />
                </div>
                <pre>{JSON.stringify(fault.input, null, 2)}</pre>
              </details>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}
