/** Seconds as Python's `str(timedelta(seconds=...))`, which LLaMA-Factory writes and people can read. */

/** `0:01:23`, `1:02:03`, `1 day, 0:00:00`; fractions of a second are cut off, nothing is below 0. */
export function formatDuration(seconds: number): string {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.trunc(seconds)) : 0;
  const days = Math.floor(whole / 86_400);
  const hours = Math.floor((whole % 86_400) / 3600);
  const [minutes, rest] = [Math.floor((whole % 3600) / 60), whole % 60].map((part) =>
    String(part).padStart(2, '0'),
  );
  const clock = `${hours}:${minutes}:${rest}`;
  if (days === 0) return clock;
  return `${days} day${days === 1 ? '' : 's'}, ${clock}`;
}

/** `0:01:23 left`; `-:--:-- left` while nobody knows. */
export function formatLeft(seconds: number | undefined): string {
  return `${seconds === undefined ? '-:--:--' : formatDuration(Math.ceil(seconds))} left`;
}
