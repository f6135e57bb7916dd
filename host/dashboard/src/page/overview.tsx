// How the gateway is: the figures that matter, and their last ten minutes.

import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Chart, type Line } from "../chart";
import * as format from "../format";
import { useAnswer, useEvents } from "../live";
import { Badge, Card, Empty, Failure, Heading, Waiting } from "../part";
import { t, word } from "../text";
import type { Event, Sample, Series, Status } from "../type";

/** Ten minutes, each two seconds. */
const KEPT = 300;
const SHOWN_EVENTS = 12;

export function OverviewPage() {
  const status = useAnswer<Status>("status", 2000);
  const series = useAnswer<Series>("series");
  const samples = useSignal<Sample[]>([]);
  useEffect(() => {
    if (series.data) samples.value = series.data.samples;
  }, [series.data]);
  useEvents("sample", undefined, (event) => {
    samples.value = [...samples.value, event as unknown as Sample].slice(-KEPT);
  });
  const step = series.data?.step_s ?? 2;
  const last = samples.value.at(-1);
  if (status.error && !status.data) return <Card><Failure error={status.error} retry={status.reload} /></Card>;
  const now = status.data;
  return (
    <>
      <Heading title={t("nav.overview")} note={now && <Health status={now} />} />
      <div class="tiles">
        <Tile label={t("nav.clients")} value={format.count(now?.clients)} href="/clients" />
        <Tile label={t("overview.up")} value={last ? format.short(last.up / step) : "–"} unit="/s" />
        <Tile label={t("overview.down")} value={last ? format.short(last.down / step) : "–"} unit="/s" />
        <Tile label={t("overview.latency")} value={format.milliseconds(last?.latency_p99_ms)} />
        <Tile label={t("overview.waiting")} value={format.count(now?.outbox.waiting)} href="/mqtt" />
        <Tile label={t("overview.memory")} value={format.bytes(last?.resident_bytes ?? now?.process?.resident_bytes)} />
      </div>
      <Charts samples={samples.value} step={step} error={series.error ? <Failure error={series.error} retry={series.reload} /> : undefined} />
      <Recent />
    </>
  );
}

function Health({ status }: { status: Status }) {
  const { mqtt } = status;
  return (
    <span class="row">
      <Badge tone={mqtt.connected && mqtt.subscribed ? "good" : "bad"}>{t(mqtt.connected ? "mqtt.connected" : "mqtt.disconnected")}</Badge>
      {status.outbox.degraded && <Badge tone="warn">{t("overview.degraded")}</Badge>}
      <span class="number">{status.version}</span>
      {status.uptime_s !== undefined && <span class="faint">{t("overview.uptime", { d: format.duration(status.uptime_s) })}</span>}
    </span>
  );
}

function Tile({ label, value, unit, href }: { label: string; value: string; unit?: string; href?: string }) {
  const body = (
    <>
      <span class="tile-label">{label}</span>
      <span class="tile-value">
        {value}
        {unit && <small>{unit}</small>}
      </span>
    </>
  );
  return href ? <a class="tile" href={href}>{body}</a> : <div class="tile">{body}</div>;
}

function Charts({ samples, step, error }: { samples: Sample[]; step: number; error: preact.JSX.Element | undefined }) {
  const data = useMemo(() => {
    const row = (take: (sample: Sample) => number | null) => samples.map(take);
    const times = row((it) => new Date(it.at).getTime() / 1000);
    return {
      messages: [times, row((it) => it.up / step), row((it) => it.down / step)],
      latency: [times, row((it) => it.latency_p50_ms), row((it) => it.latency_p99_ms)],
      faults: [times, row((it) => it.faults), row((it) => it.outbox)],
      memory: [times, row((it) => it.resident_bytes)],
    };
  }, [samples, step]);
  if (error && samples.length === 0) return <Card>{error}</Card>;
  if (samples.length === 0) return <Card><Waiting rows={6} /></Card>;
  const line = (label: string, color: string, fill = false): Line => ({ label, color, fill });
  return (
    <div class="plots">
      <Card title={t("overview.messages")}>
        <Chart label={t("overview.messages")} data={data.messages} format={(value) => format.short(value)} lines={[line(t("overview.up"), "--line-1", true), line(t("overview.down"), "--line-2")]} />
      </Card>
      <Card title={t("overview.latencies")}>
        <Chart label={t("overview.latencies")} data={data.latency} format={format.milliseconds} lines={[line("p50", "--line-1", true), line("p99", "--line-2")]} />
      </Card>
      <Card title={t("overview.faults")}>
        <Chart label={t("overview.faults")} data={data.faults} format={(value) => format.short(value)} lines={[line(t("overview.faultsLine"), "--line-3"), line(t("overview.waiting"), "--line-1", true)]} />
      </Card>
      <Card title={t("overview.memory")}>
        <Chart label={t("overview.memory")} data={data.memory} format={format.bytes} lines={[line(t("overview.memory"), "--line-1", true)]} />
      </Card>
    </div>
  );
}

/** What happens, at a pace that can be read: at most four changes a second. */
function Recent() {
  const shown = useSignal<(Event & { key: number })[]>([]);
  const pending = useMemo<{ events: (Event & { key: number })[]; key: number }>(() => ({ events: [], key: 0 }), []);
  useEvents("registered,deregistered,answered,failed,fault,translators", undefined, (event) => {
    pending.events = [{ ...event, key: (pending.key += 1) }, ...pending.events].slice(0, SHOWN_EVENTS);
  });
  useEffect(() => {
    const timer = setInterval(() => {
      if (pending.events[0]?.key !== shown.value[0]?.key) shown.value = pending.events;
    }, 250);
    return () => clearInterval(timer);
  }, []);
  return (
    <Card title={t("overview.events")} flush>
      {shown.value.length === 0 ? (
        <Empty icon="log" title={t("overview.noEvents")} />
      ) : (
        <ul class="events">
          {shown.value.map((event) => (
            <li key={event.key}>
              <span class="number faint">{format.clock(event.at)}</span>
              <Badge tone={event.type === "fault" || event.type === "failed" ? "bad" : event.type === "registered" ? "good" : "calm"}>{word("event", event.type)}</Badge>
              {event.endpoint && <a href={`/clients/${encodeURIComponent(event.endpoint)}`}>{event.endpoint}</a>}
              <span class="faint cut">{[event.operation, event.path, event.code, event.translator, event.reason].filter((it) => typeof it === "string").join(" · ")}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
