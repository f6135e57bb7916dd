// The gateway's log: the last lines, and those that come.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { query } from "../api";
import * as format from "../format";
import { useAnswer, useEvents } from "../live";
import { Badge, Button, Card, Empty, Failure, Heading, Waiting, type Tone } from "../part";
import { t, type Key } from "../text";
import type { List, LogLine } from "../type";

const LEVELS = ["error", "warn", "info", "debug", "trace"];
const KEPT = 1000;
const TONES: Record<string, Tone> = { error: "bad", warn: "warn", info: "good" };

export function LogPage() {
  const level = useSignal("info");
  const wanted = useSignal("");
  const isPaused = useSignal(false);
  const lines = useSignal<LogLine[]>([]);
  const answer = useAnswer<List<LogLine>>(`log${query({ level: level.value, limit: 500 })}`);
  useEffect(() => {
    if (answer.data) lines.value = [...answer.data.data].sort((a, b) => (a.at < b.at ? -1 : 1));
  }, [answer.data]);
  useEvents("log", undefined, (event) => {
    const line = event as unknown as LogLine;
    if (!isPaused.value && isWithin(line, level.value)) lines.value = [...lines.value, line].slice(-KEPT);
  });
  const text = wanted.value.toLowerCase();
  const shown = lines.value.filter((line) => isWithin(line, level.value) && (text === "" || JSON.stringify(line).toLowerCase().includes(text))).reverse();
  return (
    <>
      <Heading title={t("nav.log")} note={t("log.note")}>
        <Button icon={isPaused.value ? "execute" : "pause"} label={t(isPaused.value ? "action.resume" : "action.pause")} pressed={isPaused.value} onClick={() => (isPaused.value = !isPaused.value)} />
      </Heading>
      <div class="filters" role="search">
        <input type="search" aria-label={t("log.find")} placeholder={t("log.find")} value={wanted.value} onInput={(event) => (wanted.value = event.currentTarget.value)} />
        <select aria-label={t("log.level")} value={level.value} onChange={(event) => (level.value = event.currentTarget.value)}>
          {LEVELS.map((of) => (
            <option key={of} value={of}>
              {t(`log.${of}` as Key)}
            </option>
          ))}
        </select>
      </div>
      <Card flush>
        {answer.error && lines.value.length === 0 ? (
          <Failure error={answer.error} retry={answer.reload} />
        ) : !answer.data && lines.value.length === 0 ? (
          <Waiting rows={10} />
        ) : shown.length === 0 ? (
          <Empty icon="log" title={t("log.none")} />
        ) : (
          <ol class="log">
            {shown.slice(0, 500).map((line, at) => (
              <li key={`${line.at} ${shown.length - at}`}>
                <span class="number faint" title={format.moment(line.at)}>{format.clock(line.at, true)}</span>
                <Badge tone={TONES[line.level.toLowerCase()] ?? "calm"}>{line.level.toLowerCase()}</Badge>
                <span class="log-text">
                  <span>{line.message}</span>
                  {Object.entries(line.fields ?? {}).map(([name, value]) => (
                    <span key={name} class="field"><span class="faint">{name}=</span>{format.value(value)}</span>
                  ))}
                  <span class="faint target">{line.target}</span>
                </span>
              </li>
            ))}
          </ol>
        )}
      </Card>
    </>
  );
}

function isWithin(line: LogLine, level: string): boolean {
  return LEVELS.indexOf(line.level.toLowerCase()) <= LEVELS.indexOf(level);
}
