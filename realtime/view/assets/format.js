// Numbers for people. What is not known is a dash, never a zero.

const DASH = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Stream time: `0:05`, `12:40`, `1:02:03`. */
export function clock(seconds) {
  if (!known(seconds)) return DASH;
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export const milliseconds = (value) => (known(value) ? value.toFixed(value < 9.95 ? 1 : 0) : DASH);

export const rate = (value) => (known(value) ? value.toFixed(1) : DASH);

export const percent = (share) => (known(share) ? `${Math.round(share * 100)} %` : DASH);

/** A small share keeps a digit that says something: `0.4 %`. */
export const area = (share) => (known(share) ? `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %` : DASH);

export const count = (value) => (known(value) ? value.toLocaleString("en") : DASH);

/** From when to when, or the one moment: `0:05 – 0:08`. */
export function span(from, to) {
  const [first, last] = [clock(from), clock(to)];
  return first === last ? first : `${first} – ${last}`;
}
