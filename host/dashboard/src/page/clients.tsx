// Clients: search, filters, sort, a page at a time. What is asked stands in the address, so that it can be kept and sent.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { query } from "../api";
import * as format from "../format";
import { useAnswer } from "../live";
import { Ago, Badge, Button, Card, Empty, Failure, Heading, Waiting } from "../part";
import { address, go, search } from "../route";
import { t, type Key } from "../text";
import type { Client, Page } from "../type";

const LIMITS = [25, 50, 100, 200];
const COLUMNS: { key: keyof Client; label: Key; wide?: boolean }[] = [
  { key: "endpoint", label: "client.endpoint" },
  { key: "address", label: "client.address" },
  { key: "transport", label: "client.transport" },
  { key: "lwm2m_version", label: "client.version", wide: true },
  { key: "lifetime_s", label: "client.lifetime", wide: true },
  { key: "registered_at", label: "client.registered", wide: true },
  { key: "updated_at", label: "client.updated" },
];

export function ClientsPage() {
  const asked = search(address.value);
  const page = Number(asked.get("page") ?? 1);
  const limit = Number(asked.get("limit") ?? 50);
  const sort = asked.get("sort") ?? "endpoint";
  const filter = { search: asked.get("search") ?? "", transport: asked.get("transport") ?? "", queue_mode: asked.get("queue_mode") ?? "", object: asked.get("object") ?? "" };
  const change = (values: Record<string, string | number>, replace = true) => go(`/clients${query(withoutUsual({ ...filter, sort, limit, page: 1, ...values }))}`, replace);
  const answer = useAnswer<Page<Client>>(`clients${query({ ...filter, page, limit, sort })}`, 10_000);
  const kept = useSignal<Page<Client> | undefined>(undefined);
  useEffect(() => {
    if (answer.data) kept.value = answer.data;
  }, [answer.data]);
  const shown = answer.data ?? (answer.error ? undefined : kept.value);
  const isFiltered = Object.values(filter).some((value) => value !== "");
  return (
    <>
      <Heading title={t("nav.clients")} note={shown && t(isFiltered ? "clients.found" : "clients.count", { n: format.count(shown.meta.count) })} />
      <Filters filter={filter} change={change} isFiltered={isFiltered} />
      <Card flush>
        {answer.error && !answer.data ? (
          <Failure error={answer.error} retry={answer.reload} />
        ) : !shown ? (
          <Waiting rows={12} />
        ) : shown.data.length === 0 ? (
          <Empty icon="clients" title={t(isFiltered ? "clients.noneFound" : "clients.none")}>
            {t(isFiltered ? "clients.noneFoundHint" : "clients.noneHint")}
          </Empty>
        ) : (
          <Rows clients={shown.data} sort={sort} resort={(to) => change({ sort: to })} isOld={!answer.data} />
        )}
        {shown && shown.meta.count > 0 && <Pager page={page} limit={limit} count={shown.meta.count} change={change} />}
      </Card>
    </>
  );
}

interface FilterProps {
  filter: Record<"search" | "transport" | "queue_mode" | "object", string>;
  change: (values: Record<string, string | number>) => void;
  isFiltered: boolean;
}

function Filters({ filter, change, isFiltered }: FilterProps) {
  const typed = useSignal(filter.search);
  const object = useSignal(filter.object);
  useEffect(() => {
    typed.value = filter.search;
    object.value = filter.object;
  }, [filter.search, filter.object]);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (typed.value !== filter.search || object.value !== filter.object) change({ search: typed.value, object: object.value });
    }, 200);
    return () => clearTimeout(timer);
  }, [typed.value, object.value]);
  return (
    <div class="filters" role="search">
      <input type="search" aria-label={t("clients.search")} placeholder={t("clients.searchHint")} value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
      <select aria-label={t("client.transport")} value={filter.transport} onChange={(event) => change({ transport: event.currentTarget.value })}>
        <option value="">{t("clients.anyTransport")}</option>
        <option value="udp">UDP</option>
        <option value="dtls">DTLS</option>
      </select>
      <select aria-label={t("client.queueMode")} value={filter.queue_mode} onChange={(event) => change({ queue_mode: event.currentTarget.value })}>
        <option value="">{t("clients.anyMode")}</option>
        <option value="true">{t("clients.sleepy")}</option>
        <option value="false">{t("clients.always")}</option>
      </select>
      <input class="short" inputMode="numeric" aria-label={t("clients.object")} placeholder={t("clients.object")} value={object.value} onInput={(event) => (object.value = event.currentTarget.value.replace(/\D/g, ""))} />
      {isFiltered && <Button kind="quiet" icon="close" label={t("clients.clear")} onClick={() => change({ search: "", transport: "", queue_mode: "", object: "" })} />}
    </div>
  );
}

function Rows({ clients, sort, resort, isOld }: { clients: Client[]; sort: string; resort: (to: string) => void; isOld: boolean }) {
  const key = sort.replace(/^-/, "");
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("nav.clients")}>
      <table class={`lines clients${isOld ? " old" : ""}`}>
        <thead>
          <tr>
            {COLUMNS.map((column) => (
              <th key={column.key} class={column.wide ? "wide" : ""} aria-sort={column.key !== key ? undefined : sort.startsWith("-") ? "descending" : "ascending"}>
                <button type="button" class="sort" onClick={() => resort(sort === column.key ? `-${column.key}` : column.key)}>
                  {t(column.label)}
                  <span class="arrow" aria-hidden="true">
                    {column.key !== key ? "" : sort.startsWith("-") ? "↓" : "↑"}
                  </span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {clients.map((client) => (
            <tr key={client.endpoint} onClick={(event) => (event.target as Element).closest("a") || go(`/clients/${encodeURIComponent(client.endpoint)}`)}>
              <td class="endpoint">
                <a href={`/clients/${encodeURIComponent(client.endpoint)}`}>{client.endpoint}</a>
                {client.queue_mode && <Badge tone={client.awake ? "good" : "calm"}>{t(client.awake ? "client.awake" : "client.asleep")}</Badge>}
              </td>
              <td class="number">{client.address}</td>
              <td>{client.transport === "dtls" ? <Badge tone="good">DTLS</Badge> : <Badge>UDP</Badge>}</td>
              <td class="number wide">{client.lwm2m_version}</td>
              <td class="number wide">{format.duration(client.lifetime_s)}</td>
              <td class="number wide">
                <Ago at={client.registered_at} />
              </td>
              <td class="number">
                <Ago at={client.updated_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Pager({ page, limit, count, change }: { page: number; limit: number; count: number; change: (values: Record<string, string | number>, replace?: boolean) => void }) {
  const last = Math.max(1, Math.ceil(count / limit));
  const from = Math.min((page - 1) * limit + 1, count);
  return (
    <nav class="pager" aria-label={t("pager.label")}>
      <span class="number">{t("pager.range", { from: format.count(from), to: format.count(Math.min(page * limit, count)), count: format.count(count) })}</span>
      <label class="wide">
        {t("pager.limit")}{" "}
        <select value={String(limit)} onChange={(event) => change({ limit: Number(event.currentTarget.value) })}>
          {LIMITS.map((of) => (
            <option key={of} value={String(of)}>
              {of}
            </option>
          ))}
        </select>
      </label>
      <div class="row">
        <Button bare icon="left" label={t("pager.previous")} disabled={page <= 1} onClick={() => change({ page: page - 1 }, false)} />
        <label>
          <span class="hidden">{t("pager.page")}</span>
          <input
            class="page-number"
            inputMode="numeric"
            value={String(page)}
            onChange={(event) => {
              const wanted = Math.min(last, Math.max(1, Math.trunc(Number(event.currentTarget.value)) || 1));
              event.currentTarget.value = String(wanted);
              change({ page: wanted }, false);
            }}
          />
        </label>
        <span class="number faint">/ {format.count(last)}</span>
        <Button bare icon="right" label={t("pager.next")} disabled={page >= last} onClick={() => change({ page: page + 1 }, false)} />
      </div>
    </nav>
  );
}

/** An address says only what is not as usual. */
function withoutUsual(values: Record<string, string | number>): Record<string, string | number | undefined> {
  const usual: Record<string, string | number> = { sort: "endpoint", limit: 50, page: 1 };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, usual[name] === value ? undefined : value]));
}
