// A client: its registration, and what can be done with it.

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { clientPath } from "../api";
import * as format from "../format";
import { useAnswer, useEvents } from "../live";
import { Ago, Badge, Button, Card, Empty, Facts, Failure, Heading, Tabs, Waiting, confirm, say, useAction } from "../part";
import { go } from "../route";
import { t } from "../text";
import type { ClientDetail, List, Observation, Queued } from "../type";
import { Tree } from "./client-tree";
import { TraceTab } from "./client-trace";
import { ValuesTab } from "./client-values";
import { Readings, deregister } from "./readings";

type Tab = "objects" | "values" | "observations" | "queue" | "trace";

export function ClientPage({ endpoint }: { endpoint: string }) {
  const tab = useSignal<Tab>("objects");
  const revision = useSignal(0);
  const client = useAnswer<ClientDetail>(`${clientPath(endpoint)}${revision.value ? `?r=${revision.value}` : ""}`, 5000);
  const kept = useSignal<ClientDetail | undefined>(undefined);
  if (client.data && client.data !== kept.peek()) kept.value = client.data;
  const readings = useMemo(() => new Readings(endpoint, () => (revision.value += 1)), [endpoint]);
  useEvents("notified,registered,updated,deregistered", endpoint, (event) => {
    if (event.type === "notified") readings.take(event.values ?? [], new Date(event.at).getTime());
    if (event.type === "deregistered" || event.type === "registered") revision.value += 1;
  });
  const shown = client.error?.status === 404 ? undefined : (client.data ?? kept.value);
  const back = { href: "/clients", label: t("nav.clients") };
  if (!shown) {
    return (
      <>
        <Heading title={endpoint} back={back} />
        <Card>{client.error?.status === 404 ? <Empty icon="clients" title={t("client.gone")}>{t("client.goneHint")}</Empty> : client.error ? <Failure error={client.error} retry={client.reload} /> : <Waiting />}</Card>
      </>
    );
  }
  return (
    <>
      <Heading title={endpoint} back={back} note={<State client={shown} />}>
        <Remove endpoint={endpoint} />
      </Heading>
      <div class="client-page">
        <Registration client={shown} />
        <div class="client-main">
          <Tabs
            label={endpoint}
            chosen={tab.value}
            choose={(id) => (tab.value = id)}
            tabs={[
              { id: "objects", label: t("client.objects") },
              { id: "values", label: t("client.values"), count: readings.series.value.size },
              { id: "observations", label: t("client.observations"), count: shown.observations },
              { id: "queue", label: t("client.queue"), count: shown.queued },
              { id: "trace", label: t("client.trace") },
            ]}
          />
          <div role="tabpanel" aria-labelledby={`tab-${tab.value}`}>
            {tab.value === "objects" && <Tree client={shown} readings={readings} />}
            {tab.value === "values" && <ValuesTab readings={readings} />}
            {tab.value === "observations" && <Observations endpoint={endpoint} readings={readings} />}
            {tab.value === "queue" && <Queue endpoint={endpoint} isSleepy={shown.queue_mode} />}
            {tab.value === "trace" && <TraceTab endpoint={endpoint} />}
          </div>
        </div>
      </div>
    </>
  );
}

function State({ client }: { client: ClientDetail }) {
  return (
    <span class="row">
      <Badge tone={client.transport === "dtls" ? "good" : "calm"}>{client.transport.toUpperCase()}</Badge>
      <Badge>LwM2M {client.lwm2m_version}</Badge>
      {client.queue_mode && <Badge tone={client.awake ? "good" : "warn"}>{t(client.awake ? "client.awake" : "client.asleep")}</Badge>}
    </span>
  );
}

function Registration({ client }: { client: ClientDetail }) {
  return (
    <Card title={t("client.registration")}>
      <Facts
        facts={[
          [t("client.address"), <span class="number">{client.address}</span>],
          [t("client.identity"), client.identity ?? <span class="faint">{t("client.noIdentity")}</span>],
          [t("client.binding"), client.queue_mode ? `${client.binding} · ${t("client.queueMode")}` : client.binding],
          [t("client.lifetime"), <span class="number">{`${format.duration(client.lifetime_s)} (${format.count(client.lifetime_s)} s)`}</span>],
          [t("client.registered"), <Ago at={client.registered_at} />],
          [t("client.updated"), <Ago at={client.updated_at} />],
          [t("client.expires"), <Ago at={client.expires_at} />],
          [t("client.location"), <code>{client.location}</code>],
          [t("nav.translators"), client.translators.map((name, at) => [at > 0 && ", ", <a key={name} href={`/translators/${encodeURIComponent(name)}`}>{name}</a>])],
        ]}
      />
    </Card>
  );
}

function Remove({ endpoint }: { endpoint: string }) {
  const action = useAction();
  const remove = async () => {
    if (!(await confirm(t("client.endTitle"), t("client.endText", { endpoint }), t("client.end")))) return;
    await deregister(endpoint);
    say("good", t("client.ended", { endpoint }));
    go("/clients");
  };
  return <Button icon="trash" label={t("client.end")} busy={action.busy} onClick={() => action.run(remove)} />;
}

function Observations({ endpoint, readings }: { endpoint: string; readings: Readings }) {
  const answer = useAnswer<List<Observation>>(clientPath(endpoint, "/observations"), 3000);
  if (answer.error && !answer.data) return <Card><Failure error={answer.error} retry={answer.reload} /></Card>;
  if (!answer.data) return <Card><Waiting /></Card>;
  if (answer.data.data.length === 0) return <Card><Empty icon="observe" title={t("observations.none")}>{t("observations.noneHint")}</Empty></Card>;
  return (
    <Card flush>
      <div class="scroll">
        <table class="lines">
          <thead>
            <tr><th>{t("operation.path")}</th><th>{t("operation.askedBy")}</th><th>{t("observations.last")}</th><th><span class="hidden">{t("operation.actions")}</span></th></tr>
          </thead>
          <tbody>
            {answer.data.data.map((it) => (
              <tr key={it.id}>
                <td><code>{it.paths.join("  ")}</code></td>
                <td>{it.asked_by}</td>
                <td class="number"><Ago at={it.last_at} /></td>
                <td class="end">
                  {it.paths.length === 1 && (
                    <Button kind="quiet" icon="close" label={t("observations.cancel")} about={`${t("observations.cancel")} ${it.paths[0]}`} onClick={() => void readings.perform({ operation: "cancel-observe", path: it.paths[0] ?? "" }).then(answer.reload)} />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Queue({ endpoint, isSleepy }: { endpoint: string; isSleepy: boolean }) {
  const answer = useAnswer<List<Queued>>(clientPath(endpoint, "/queue"), 2000);
  if (answer.error && !answer.data) return <Card><Failure error={answer.error} retry={answer.reload} /></Card>;
  if (!answer.data) return <Card><Waiting /></Card>;
  if (answer.data.data.length === 0) return <Card><Empty icon="clients" title={t("queue.none")}>{t(isSleepy ? "queue.noneSleepy" : "queue.noneAwake")}</Empty></Card>;
  return (
    <Card flush>
      <div class="scroll">
        <table class="lines">
          <thead>
            <tr><th class="number">#</th><th>{t("operation.operation")}</th><th>{t("operation.path")}</th><th>{t("operation.askedBy")}</th><th>{t("queue.expires")}</th></tr>
          </thead>
          <tbody>
            {answer.data.data.map((it) => (
              <tr key={it.id}>
                <td class="number faint">{it.id}</td>
                <td>{it.operation}</td>
                <td><code>{it.path}</code></td>
                <td>{it.asked_by}</td>
                <td class="number"><Ago at={it.expires_at} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
