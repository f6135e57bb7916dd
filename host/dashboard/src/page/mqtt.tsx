// MQTT: the broker, what waits for it, and topics as they go by.

import { useSignal } from "@preact/signals";
import { useMemo, useEffect } from "preact/hooks";
import * as format from "../format";
import { useAnswer, useEvents } from "../live";
import { Ago, Badge, Button, Card, Empty, Facts, Failure, Heading, Tabs, Waiting } from "../part";
import { t } from "../text";
import type { Event, List, Status, Topic } from "../type";

type View = "topics" | "stream";
/** Messages that are shown of the stream. */
const KEPT = 100;

export function MqttPage() {
  const status = useAnswer<Status>("status", 2000);
  const view = useSignal<View>("topics");
  const mqtt = status.data?.mqtt;
  return (
    <>
      <Heading title="MQTT" note={mqtt && <Badge tone={mqtt.connected && mqtt.subscribed ? "good" : "bad"}>{t(!mqtt.connected ? "mqtt.disconnected" : mqtt.subscribed ? "mqtt.connected" : "mqtt.unsubscribed")}</Badge>} />
      {status.error && !status.data ? (
        <Card><Failure error={status.error} retry={status.reload} /></Card>
      ) : status.data ? (
        <State status={status.data} />
      ) : (
        <Card><Waiting rows={3} /></Card>
      )}
      <Tabs label="MQTT" chosen={view.value} choose={(id) => (view.value = id)} tabs={[{ id: "topics", label: t("mqtt.topics") }, { id: "stream", label: t("mqtt.stream") }]} />
      <div role="tabpanel" aria-labelledby={`tab-${view.value}`}>{view.value === "topics" ? <Topics /> : <Stream />}</div>
    </>
  );
}

function State({ status: { mqtt, outbox } }: { status: Status }) {
  const dropped = Object.values(mqtt.dropped ?? {}).reduce((sum, of) => sum + of, 0) + (outbox.dropped ?? 0);
  return (
    <>
      {mqtt.error && <div class="notice bad" role="alert"><strong>{t("mqtt.error")}</strong><pre>{mqtt.error}</pre></div>}
      <div class="two">
        <Card title={t("mqtt.broker")}>
          <Facts
            facts={[
              [t("mqtt.address"), <code>{mqtt.broker}</code>],
              [t("mqtt.published"), <span class="number">{format.count(mqtt.published)}</span>],
              [t("mqtt.acknowledged"), <span class="number">{format.count(mqtt.acknowledged)}</span>],
              [t("mqtt.received"), <span class="number">{format.count(mqtt.received)}</span>],
            ]}
          />
        </Card>
        <Card title={t("mqtt.outbox")}>
          <Facts
            facts={[
              [t("mqtt.waiting"), <span class="number">{format.count(outbox.waiting)}</span>],
              [t("mqtt.bytes"), <span class="number">{format.bytes(outbox.bytes)}</span>],
              [t("mqtt.dropped"), <span class={`number${dropped > 0 ? " bad-text" : ""}`}>{format.count(dropped)}</span>],
            ]}
          />
        </Card>
      </div>
    </>
  );
}

function Topics() {
  const answer = useAnswer<List<Topic>>("mqtt/topics", 2000);
  const wanted = useSignal("");
  const all = answer.data?.data;
  if (answer.error && !all) return <Card><Failure error={answer.error} retry={answer.reload} /></Card>;
  if (!all) return <Card><Waiting /></Card>;
  const shown = all.filter((it) => it.topic.includes(wanted.value)).sort((a, b) => (a.last_at < b.last_at ? 1 : -1));
  return (
    <Card flush>
      <div class="filters padded">
        <input type="search" aria-label={t("mqtt.find")} placeholder={t("mqtt.find")} value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
      </div>
      {shown.length === 0 ? (
        <Empty icon="mqtt" title={t("mqtt.noTopics")}>{t("mqtt.noTopicsHint")}</Empty>
      ) : (
        <div class="scroll">
          <table class="lines">
            <thead><tr><th>{t("mqtt.topic")}</th><th class="right">{t("mqtt.count")}</th><th class="right">{t("mqtt.size")}</th><th class="wide">QoS</th><th>{t("mqtt.last")}</th></tr></thead>
            <tbody>
              {shown.map((it) => (
                <tr key={it.topic}>
                  <td><code>{it.topic}</code></td>
                  <td class="number right">{format.count(it.count)}</td>
                  <td class="number right">{format.bytes(it.bytes)}</td>
                  <td class="number wide">{it.qos}{it.retain && <> <Badge>{t("mqtt.retained")}</Badge></>}</td>
                  <td class="number"><Ago at={it.last_at} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

type Message = Event & { key: number };

function Stream() {
  const shown = useSignal<Message[]>([]);
  const isPaused = useSignal(false);
  const pending = useMemo<{ all: Message[]; key: number }>(() => ({ all: [], key: 0 }), []);
  useEvents("publication,message", undefined, (event) => {
    pending.all = [{ ...event, key: (pending.key += 1) }, ...pending.all].slice(0, KEPT);
  });
  useEffect(() => {
    const timer = setInterval(() => {
      if (!isPaused.value && pending.all[0]?.key !== shown.value[0]?.key) shown.value = pending.all;
    }, 250);
    return () => clearInterval(timer);
  }, []);
  return (
    <Card title={t("mqtt.stream")} actions={<Button icon={isPaused.value ? "execute" : "pause"} label={t(isPaused.value ? "action.resume" : "action.pause")} pressed={isPaused.value} onClick={() => (isPaused.value = !isPaused.value)} />} flush>
      {shown.value.length === 0 ? (
        <Empty icon="mqtt" title={t("mqtt.noMessages")}>{t("mqtt.noTopicsHint")}</Empty>
      ) : (
        <ol class="exchanges">
          {shown.value.map((it) => (
            <li key={it.key}>
              <details>
                <summary>
                  <span class="number faint">{format.clock(it.at)}</span>
                  <span class={`direction ${it.type === "message" ? "in" : "out"}`}>{it.type === "message" ? "←" : "→"}<span class="hidden">{t(it.type === "message" ? "trace.in" : "trace.out")}</span></span>
                  <code class="fill cut">{String(it.topic)}</code>
                  <span class="faint number">{format.bytes(Number(it.bytes))}</span>
                </summary>
                <pre>{pretty(it.payload)}</pre>
              </details>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

function pretty(payload: unknown): string {
  if (typeof payload !== "string") return JSON.stringify(payload, null, 2) ?? "";
  try {
    return JSON.stringify(JSON.parse(payload), null, 2);
  } catch {
    return payload;
  }
}
