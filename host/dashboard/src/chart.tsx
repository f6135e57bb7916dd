// A plot of uPlot's in the dashboard's colours; follows its size and the theme.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme } from "./theme";

export interface Line {
  label: string;
  /** A colour of style.css: `--line-1`. */
  color: string;
  fill?: boolean;
}

interface ChartProps {
  /** Seconds since 1970, then a row for each line. */
  data: (number | null)[][];
  lines: Line[];
  format: (value: number) => string;
  /** Says what is to be seen, for those who do not see it. */
  label: string;
  height?: number;
}

export function Chart({ data, lines, format, label, height = 160 }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const formatter = useRef(format);
  formatter.current = format;
  const key = lines.map((line) => line.label + line.color).join() + theme.value;
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = new uPlot(options(element, lines, (value) => formatter.current(value), height), data as uPlot.AlignedData, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(80, element.clientWidth), height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [key, height]);
  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  }, [data]);
  const last = lines.map((line, at) => {
    const value = data[at + 1]?.at(-1);
    return `${line.label} ${value === null || value === undefined ? "–" : format(value)}`;
  });
  return <div class="chart" ref={place} role="img" aria-label={`${label}: ${last.join(", ")}`} />;
}

function options(element: HTMLElement, lines: Line[], format: (value: number) => string, height: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const font = `11px ${style.getPropertyValue("--font")}`;
  const axis: uPlot.Axis = { stroke: color("--faint"), font, grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(80, element.clientWidth),
    height,
    legend: { show: true, live: true },
    cursor: { points: { size: 6 }, drag: { x: false, y: false }, y: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_, low, high) => bounds(low, high) } },
    axes: [
      { ...axis, grid: { show: false }, values: (_, splits, __, ___, step) => splits.map((split) => new Date(split * 1000).toTimeString().slice(0, step < 60 ? 8 : 5)), space: 70, size: 26 },
      { ...axis, size: 56, space: 32, values: (_, splits) => splits.map((split) => format(split)) },
    ],
    series: [
      { label: "", value: (_, at) => (at === null ? "" : new Date(at * 1000).toTimeString().slice(0, 8)) },
      ...lines.map((line) => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.75,
        points: { show: false },
        ...(line.fill ? { fill: `${color(line.color)}1f` } : {}),
        // The last one, unless the pointer is at another.
        value: (plot: uPlot, value: number | null, series: number, at: number | null) => {
          const shown = at === null || at === undefined ? plot.data[series]?.at(-1) : value;
          return shown === null || shown === undefined ? "–" : format(shown);
        },
      })),
    ],
  };
}

/** From zero if it is near, with room above. */
function bounds(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const room = Math.max((high - low) * 0.15, Math.abs(high) * 0.02, 1e-3);
  return [low >= 0 && low < high * 0.6 ? 0 : low - room, high + room];
}
