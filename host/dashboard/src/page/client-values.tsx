// Values of a client over time, since this page was opened: a plot for each resource that is a number.

import { Chart } from "../chart";
import * as format from "../format";
import { Card, Empty } from "../part";
import { t } from "../text";
import type { Readings } from "./readings";

export function ValuesTab({ readings }: { readings: Readings }) {
  const series = [...readings.series.value].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  if (series.length === 0) {
    return (
      <Card>
        <Empty icon="chart" title={t("values.none")}>
          {t("values.noneHint")}
        </Empty>
      </Card>
    );
  }
  return (
    <div class="plots">
      {series.map(([path, data]) => (
        <Card key={path} title={<code>{path}</code>} actions={<span class="number strong">{format.short(data[1].at(-1))}</span>}>
          <Chart label={path} data={data} lines={[{ label: path, color: "--line-1", fill: true }]} format={(value) => format.short(value)} />
        </Card>
      ))}
    </div>
  );
}
