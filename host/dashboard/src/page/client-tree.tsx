// The objects of a client: names, types and units of the model, values as they come, and a button for all that can be done.

import { useSignal } from "@preact/signals";
import { clientPath, query } from "../api";
import * as format from "../format";
import { Icon } from "../icon";
import { useAnswer } from "../live";
import { Ago, Badge, Button, Card, Dialog, Empty, Failure, Waiting } from "../part";
import { t, type Key } from "../text";
import type { ClientDetail, ClientObject, List, Model, Observation, Resource } from "../type";
import type { Readings } from "./readings";

interface TreeProps {
  client: ClientDetail;
  readings: Readings;
}

export function Tree({ client, readings }: TreeProps) {
  const observed = useAnswer<List<Observation>>(clientPath(client.endpoint, `/observations${client.observations ? `?n=${client.observations}` : ""}`), 5000);
  const paths = new Set(observed.data?.data.flatMap((it) => it.paths) ?? []);
  if (client.objects.length === 0) return <Card><Empty icon="discover" title={t("tree.none")} /></Card>;
  return (
    <div class="tree">
      {client.objects.map((object) => (
        <ObjectNode key={object.id} object={object} readings={readings} observed={paths} changed={observed.reload} />
      ))}
    </div>
  );
}

interface NodeProps {
  object: ClientObject;
  readings: Readings;
  observed: ReadonlySet<string>;
  changed: () => void;
}

function ObjectNode({ object, readings, observed, changed }: NodeProps) {
  const isOpen = useSignal(object.id === 3);
  return (
    <section class="card flush object">
      <button type="button" class="object-head" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
        <Icon name={isOpen.value ? "down" : "right"} size={14} />
        <code>/{object.id}</code>
        <span class="strong">{object.name ?? t("tree.unknown")}</span>
        {object.version && <span class="faint number">{object.version}</span>}
        <span class="fill" />
        <span class="faint number">{t("tree.instances", { n: object.instances.length })}</span>
      </button>
      {isOpen.value && <Instances object={object} readings={readings} observed={observed} changed={changed} />}
    </section>
  );
}

function Instances({ object, readings, observed, changed }: NodeProps) {
  const model = useAnswer<Model>(`models/${object.id}${query({ version: object.version ?? undefined })}`);
  if (model.error && model.error.status !== 404) return <Failure error={model.error} retry={model.reload} />;
  if (!model.data && !model.error) return <Waiting rows={3} />;
  if (object.instances.length === 0) return <p class="padded faint">{t("tree.noInstance")}</p>;
  return (
    <>
      {object.instances.map((instance) => (
        <Instance key={instance} path={`/${object.id}/${instance}`} model={model.data} readings={readings} observed={observed} changed={changed} />
      ))}
    </>
  );
}

interface InstanceProps {
  path: string;
  model: Model | undefined;
  readings: Readings;
  observed: ReadonlySet<string>;
  changed: () => void;
}

function Instance({ path, model, readings, observed, changed }: InstanceProps) {
  const isAll = useSignal(false);
  const resources = listed(path, model, readings);
  const told = readings.told.value.get(path);
  // Until the client has told what it has, all of the model is offered; reading tells nothing of what cannot be read.
  const mayBe = (it: Resource) => told === undefined || readings.present.value.has(`${path}/${it.id}`) || (told === "read" && !/R/i.test(it.operations ?? ""));
  const shown = isAll.value ? resources : resources.filter(mayBe);
  const hidden = resources.length - shown.length;
  return (
    <div class="instance">
      <div class="instance-head">
        <code>{path}</code>
        {observed.has(path) && <Badge tone="good">{t("tree.observed")}</Badge>}
        <span class="fill" />
        <Do operation="read" path={path} readings={readings} />
        <Do operation="discover" path={path} readings={readings} />
        <Watch path={path} readings={readings} observed={observed} changed={changed} />
      </div>
      <ul class="resources">
        {shown.map((resource) => (
          <Row key={resource.id} path={`${path}/${resource.id}`} resource={resource} readings={readings} observed={observed} changed={changed} />
        ))}
      </ul>
      {hidden > 0 && (
        <button type="button" class="more" onClick={() => (isAll.value = true)}>
          {t("tree.more", { n: hidden })}
        </button>
      )}
    </div>
  );
}

/** Those of the model, and those that only the client knows. */
function listed(path: string, model: Model | undefined, readings: Readings): Resource[] {
  const resources = [...(model?.resources ?? [])];
  for (const at of readings.present.value) {
    const id = at.startsWith(`${path}/`) ? Number(at.slice(path.length + 1).split("/")[0]) : Number.NaN;
    if (Number.isInteger(id) && !resources.some((it) => it.id === id)) {
      resources.push({ id, name: "", operations: "RWE", type: null, multiple: false, mandatory: false });
    }
  }
  return resources.sort((a, b) => a.id - b.id);
}

interface RowProps {
  path: string;
  resource: Resource;
  readings: Readings;
  observed: ReadonlySet<string>;
  changed: () => void;
}

function Row({ path, resource, readings, observed, changed }: RowProps) {
  const asked = useSignal<"write" | "execute" | null>(null);
  const can = (letter: string) => (resource.operations ?? "").toUpperCase().includes(letter);
  const reading = readings.last.value.get(path);
  const parts = [...readings.last.value].filter(([at]) => at.startsWith(`${path}/`));
  const attributes = Object.entries(readings.attributes.value.get(path) ?? {});
  return (
    <li class="resource">
      <div class="resource-name">
        <code title={path}>{resource.id}</code>
        <span>
          <span title={resource.description}>{resource.name || t("tree.unknown")}</span>{" "}
          <span class="faint type">{[resource.type?.toLowerCase().replace("none", ""), resource.range, ...attributes.map(([name, value]) => `${name}=${value}`)].filter(Boolean).join(" · ")}</span>
        </span>
      </div>
      <div class="resource-value" data-path={path}>
        {reading ? (
          <span key={reading.at} class="fresh" title={format.moment(new Date(reading.at).toISOString())}>
            <output>{format.value(reading.value, resource.type?.toLowerCase())}</output>
            {resource.units && <span class="faint"> {resource.units}</span>}
          </span>
        ) : (
          parts.map(([at, part]) => (
            <span key={at} class="part">
              <code class="faint">{at.slice(path.length + 1)}</code> {format.value(part.value)}
            </span>
          ))
        )}
        {observed.has(path) && reading && <span class="faint since"><Ago at={new Date(reading.at).toISOString()} /></span>}
      </div>
      <div class="resource-actions">
        {can("R") && <Watch path={path} readings={readings} observed={observed} changed={changed} />}
        {can("R") && <Do operation="read" path={path} readings={readings} />}
        {can("W") && <Button bare kind="quiet" icon="write" label={t("operation.write")} about={`${t("operation.write")} ${path}`} onClick={() => (asked.value = "write")} />}
        {can("E") && <Button bare kind="quiet" icon="execute" label={t("operation.execute")} about={`${t("operation.execute")} ${path}`} onClick={() => (asked.value = "execute")} />}
      </div>
      {asked.value === "write" && <Write path={path} resource={resource} now={reading?.value} readings={readings} close={() => (asked.value = null)} />}
      {asked.value === "execute" && <Execute path={path} resource={resource} readings={readings} close={() => (asked.value = null)} />}
    </li>
  );
}

function Do({ operation, path, readings }: { operation: "read" | "discover"; path: string; readings: Readings }) {
  const label = t(`operation.${operation}`);
  return <Button bare kind="quiet" icon={operation} label={label} about={`${label} ${path}`} busy={readings.busy.value.has(`${operation} ${path}`)} onClick={() => void readings.perform({ operation, path })} />;
}

function Watch({ path, readings, observed, changed }: Omit<RowProps, "resource">) {
  const is = observed.has(path);
  const operation = is ? "cancel-observe" : "observe";
  const label = t(is ? "observations.cancel" : "operation.observe");
  return (
    <Button
      bare
      kind="quiet"
      icon="observe"
      label={label}
      about={`${label} ${path}`}
      pressed={is}
      busy={readings.busy.value.has(`${operation} ${path}`)}
      onClick={() => void readings.perform({ operation, path }).then(changed)}
    />
  );
}

function Write({ path, resource, now, readings, close }: { path: string; resource: Resource; now: unknown; readings: Readings; close: () => void }) {
  const type = resource.type?.toLowerCase() ?? "string";
  if (type === "time" && typeof now === "number") now = new Date(now * 1000).toISOString();
  const given = useSignal(now === undefined || now === null ? (type === "boolean" ? "true" : "") : String(now));
  const wrong = useSignal("");
  const submit = (event: Event) => {
    event.preventDefault();
    let value: unknown;
    try {
      value = format.parse(given.value, type);
    } catch (error) {
      wrong.value = t(`wrong.${(error as Error).message}` as Key);
      return;
    }
    close();
    void readings.perform({ operation: "write", path, value });
  };
  return (
    <Dialog title={`${t("operation.write")}: ${resource.name || path}`} close={close}>
      <form class="form" onSubmit={submit}>
        <label>
          <span>
            <code>{path}</code> <span class="faint">{[type, resource.units, resource.range].filter(Boolean).join(" · ")}</span>
          </span>
          {type === "boolean" ? (
            <select value={given.value} onChange={(event) => (given.value = event.currentTarget.value)}>
              <option value="true">true</option>
              <option value="false">false</option>
            </select>
          ) : type === "opaque" ? (
            <textarea rows={4} placeholder="Base64" value={given.value} onInput={(event) => (given.value = event.currentTarget.value)} />
          ) : (
            <input autofocus placeholder={type === "time" ? "2026-01-31T12:00:00Z" : ""} inputMode={type === "integer" ? "numeric" : type === "float" ? "decimal" : "text"} aria-invalid={wrong.value !== ""} value={given.value} onInput={(event) => (given.value = event.currentTarget.value)} />
          )}
        </label>
        {wrong.value && <p class="wrong" role="alert">{wrong.value}</p>}
        <div class="row end">
          <Button label={t("action.cancel")} onClick={close} />
          <Button submit kind="primary" label={t("operation.write")} />
        </div>
      </form>
    </Dialog>
  );
}

function Execute({ path, resource, readings, close }: { path: string; resource: Resource; readings: Readings; close: () => void }) {
  const given = useSignal("");
  const submit = (event: Event) => {
    event.preventDefault();
    close();
    void readings.perform({ operation: "execute", path, ...(given.value.trim() ? { arguments: given.value.trim() } : {}) });
  };
  return (
    <Dialog title={`${t("operation.execute")}: ${resource.name || path}`} close={close}>
      <form class="form" onSubmit={submit}>
        <p>{t("execute.text", { path, endpoint: readings.endpoint })}</p>
        <label>
          {t("execute.arguments")}
          <input placeholder="0='a',1" value={given.value} onInput={(event) => (given.value = event.currentTarget.value)} />
        </label>
        <div class="row end">
          <Button label={t("action.cancel")} onClick={close} />
          <Button submit kind="danger" label={t("operation.execute")} />
        </div>
      </form>
    </Dialog>
  );
}
