// CoAP exchanges of a client, decoded. What is secret the gateway has left out.

import { clientPath, ask } from "../api";
import * as format from "../format";
import { useAnswer } from "../live";
import { Ago, Badge, Button, Card, Empty, Failure, Waiting, useAction } from "../part";
import { t } from "../text";
import type { Exchange, Trace } from "../type";

export function TraceTab({ endpoint }: { endpoint: string }) {
  const path = clientPath(endpoint, "/trace");
  const answer = useAnswer<Trace>(path, 2000);
  const action = useAction();
  const isOn = Boolean(answer.data?.active_until);
  const toggle = async () => {
    await ask(path, { method: isOn ? "DELETE" : "PUT" });
    answer.reload();
  };
  const button = <Button kind={isOn ? undefined : "primary"} icon={isOn ? "pause" : "execute"} label={t(isOn ? "trace.stop" : "trace.start")} busy={action.busy} onClick={() => action.run(toggle)} />;
  const note = isOn && answer.data?.active_until ? <span class="faint">{t("trace.ends")} <Ago at={answer.data.active_until} /></span> : null;
  return (
    <Card title={t("client.trace")} actions={[note, button]} flush>
      {answer.error && !answer.data ? (
        <Failure error={answer.error} retry={answer.reload} />
      ) : !answer.data ? (
        <Waiting />
      ) : answer.data.exchanges.length === 0 ? (
        <Empty icon="log" title={t(isOn ? "trace.waiting" : "trace.none")}>
          {t(isOn ? "trace.waitingHint" : "trace.noneHint")}
        </Empty>
      ) : (
        <ol class="exchanges">
          {[...answer.data.exchanges].reverse().map((exchange, at) => (
            <Row key={`${exchange.at} ${exchange.mid} ${exchange.direction} ${at}`} exchange={exchange} />
          ))}
        </ol>
      )}
    </Card>
  );
}

function Row({ exchange }: { exchange: Exchange }) {
  const isBad = /^[45]\./.test(exchange.code);
  const uri = exchange.options.filter((option) => option.name === "Uri-Path").map((option) => `/${String(option.value)}`);
  const rest = exchange.options.filter((option) => option.name !== "Uri-Path");
  return (
    <li>
      <details>
        <summary>
          <span class="number faint">{format.clock(exchange.at, true)}</span>
          <span class={`direction ${exchange.direction}`}>{exchange.direction === "in" ? "←" : "→"}<span class="hidden">{t(exchange.direction === "in" ? "trace.in" : "trace.out")}</span></span>
          <Badge tone={isBad ? "bad" : exchange.direction === "in" ? "good" : "calm"}>{exchange.code}</Badge>
          <code class="fill">{uri.join("")}</code>
          <span class="faint wide">{exchange.type}</span>
          {exchange.retransmitted > 0 && <Badge tone="warn">{t("trace.again", { n: exchange.retransmitted })}</Badge>}
          <span class="faint number">{format.bytes(exchange.bytes)}</span>
        </summary>
        <dl class="facts">
          <div><dt>MID</dt><dd class="number">{exchange.mid}</dd></div>
          <div><dt>Token</dt><dd><code>{exchange.token || "–"}</code></dd></div>
          {rest.map((option, at) => (
            <div key={at}><dt>{option.name}</dt><dd><code>{String(option.value)}</code></dd></div>
          ))}
        </dl>
        {exchange.payload && <pre>{payload(exchange.payload)}</pre>}
      </details>
    </li>
  );
}

function payload(of: NonNullable<Exchange["payload"]>): string {
  if (of.values !== undefined && of.values !== null) return JSON.stringify(of.values, null, 2);
  return of.text ?? of.base64 ?? "";
}
