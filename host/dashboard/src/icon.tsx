// Line icons, 24 by 24.

const PATHS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM14 4v3h6V4zM4 17v3h6v-3z",
  clients: "M9 3h6v18H9zM12 17.5v.01M3 8v8M21 8v8",
  translators: "M4 7h12l-3-3M20 17H8l3 3",
  mqtt: "M4 20v-4a4 4 0 0 1 4 4zM4 11a9 9 0 0 1 9 9M4 5a15 15 0 0 1 15 15",
  log: "M5 6h14M5 10h14M5 14h9M5 18h11",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  close: "M6 6l12 12M18 6L6 18",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  down: "M5 9l7 7 7-7",
  read: "M12 4v11M7 11l5 5 5-5M5 20h14",
  write: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  execute: "M7 4l13 8-13 8z",
  observe: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  discover: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM15.5 8.5l-2 5-5 2 2-5z",
  reload: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
  revert: "M4 10h10a6 6 0 0 1 0 12h-3M8 5l-5 5 5 5",
  upload: "M12 20V8M7 12l5-5 5 5M5 3h14",
  chart: "M4 4v16h16M8 15l4-5 3 3 5-7",
  pause: "M8 5v14M16 5v14",
  key: "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12l9-9M16 7l3 3",
  help: "M9.5 9a2.5 2.5 0 1 1 3.6 2.2c-.8.5-1.1 1-1.1 1.8M12 17v.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
