// How numbers and times are written. Values in, text out.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (number) => whole.format(number ?? 0);
export const compact = (number) => (Number(number) < 10_000 ? count(number) : short.format(number));

/** Of 1 and more the noun has an s. */
export const counted = (number, noun) => `${count(number)} ${noun}${Number(number) === 1 ? "" : "s"}`;

/** Milliseconds as 340 µs, 12 ms, 3.4 s, 2 min 5 s, 1 h 2 min, 3 d 4 h. */
export function duration(ms) {
  if (ms === undefined || ms === null || Number.isNaN(ms)) return "–";
  if (ms < 0) return "0 ms";
  if (ms < 1 && ms > 0) return `${Math.max(1, Math.round(ms * 1000))} µs`;
  if (ms < 1000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Money without a currency: 0.0042, 1.25, 1,200. */
export function cost(number) {
  if (number === undefined || number === null) return "–";
  if (number === 0) return "0";
  if (number < 0.01) return String(Number(number.toPrecision(2)));
  return number.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: number < 1 ? 4 : 2 });
}

/** Milliseconds since 1970 of the time of an event, with its microseconds as a fraction. */
export function timeOf(text) {
  const [, seconds, part = ""] = /^(.{19})\.?(\d*)/.exec(text) ?? [];
  return seconds ? Date.parse(`${seconds}Z`) + Number(`0.${part || 0}`) * 1000 : NaN;
}

/** A moment as people say it: just now, 40 s ago, 3 min ago, yesterday's date. */
export function ago(text, now = Date.now()) {
  const ms = now - timeOf(text);
  if (Number.isNaN(ms)) return "–";
  if (ms < 5_000) return "just now";
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ago`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ago`;
  return new Date(timeOf(text)).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

const clockForm = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
/** The local time of day with milliseconds. */
export function clock(text) {
  const at = new Date(timeOf(text));
  if (Number.isNaN(at.getTime())) return "–";
  return `${at.toLocaleTimeString("en-GB", clockForm)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export const moment = (text) => (text ? new Date(timeOf(text)).toLocaleString() : "–");
export const percent = (fraction) => `${Math.floor((fraction ?? 0) * 100)} %`;
export const bytes = (size) => (size < 1024 ? `${size} B` : size < 1048576 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1048576).toFixed(1)} MiB`);
