// Translators: which there are and how they do.

import { useAnswer, useEvents } from "../live";
import * as format from "../format";
import { Ago, Badge, Card, Empty, Failure, Heading, Waiting, type Tone } from "../part";
import { t, word } from "../text";
import type { List, Translator } from "../type";

export function TranslatorsPage() {
  const answer = useAnswer<List<Translator>>("translators", 5000);
  useEvents("translators,fault", undefined, (event) => event.type === "translators" && answer.reload());
  const all = answer.data?.data;
  return (
    <>
      <Heading title={t("nav.translators")} note={t("translators.what")} />
      {answer.error && !all ? (
        <Card><Failure error={answer.error} retry={answer.reload} /></Card>
      ) : !all ? (
        <Card><Waiting /></Card>
      ) : all.length === 0 ? (
        <Card><Empty icon="translators" title={t("translators.none")}>{t("translators.noneHint")}</Empty></Card>
      ) : (
        <div class="translators">
          {all.map((it) => (
            <a class="card translator" key={it.name} href={`/translators/${encodeURIComponent(it.name)}`}>
              <span class="row">
                <span class="strong big">{it.name}</span>
                <Badge tone={tone(it.state)}>{word("state", it.state)}</Badge>
              </span>
              <span class="faint cut">{it.artifact}</span>
              <span class="row spread">
                <Figure label={t("translators.generation")} value={String(it.generation)} />
                <Figure label={t("translators.calls")} value={format.short(it.totals.calls)} />
                <Figure label={t("translators.faults")} value={format.short(it.totals.faults)} isBad={(it.totals.faults ?? 0) > 0} />
                <Figure label={t("translators.since")} value={<Ago at={it.since} />} />
              </span>
              {it.last_rejection && it.last_rejection.at > it.since && <span class="reason">{t("translators.rejected")}: {it.last_rejection.reason}</span>}
            </a>
          ))}
        </div>
      )}
    </>
  );
}

export function tone(state: string): Tone {
  if (state === "active") return "good";
  return /fail|disabled|broken|open|faulty/.test(state) ? "bad" : "warn";
}

function Figure({ label, value, isBad }: { label: string; value: preact.ComponentChildren; isBad?: boolean }) {
  return (
    <span class="figure">
      <span class="faint">{label}</span>
      <span class={`number${isBad ? " bad-text" : ""}`}>{value}</span>
    </span>
  );
}
