const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];

/** One JSON object a line; below LOG_LEVEL nothing. An Error among the fields becomes its name and message. */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
  const least = LEVELS.indexOf((process.env.LOG_LEVEL || "info") as Level);
  if (LEVELS.indexOf(level) < least) return;
  const plain = Object.entries(fields).map(([key, value]) => [
    key,
    value instanceof Error ? `${value.name}: ${value.message}` : value,
  ]);
  const line = JSON.stringify({ time: new Date().toISOString(), level, message, ...Object.fromEntries(plain) });
  console.log(line);
}
