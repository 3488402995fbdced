/** `format`: RFC 3339's dates and times, and UUIDs, as patterns. */
import type { Expression } from './expression.js';
import { wholePattern } from './pattern.js';

const HOUR = '(?:[01]\\d|2[0-3])';
const TIME = `${HOUR}:[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]${HOUR}:[0-5]\\d)`;
const DAY = '0[1-9]|[12]\\d';
const MONTHS = [
  `(?:0[13578]|10|12)-(?:${DAY}|3[01])`,
  `(?:0[469]|11)-(?:${DAY}|30)`,
  '02-(?:0[1-9]|1\\d|2[0-8])',
];
/** Divisible by 4, and of those by 100 the ones by 400. */
const LEAP = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const DATE = `(?:\\d{4}-(?:${MONTHS.join('|')})|${LEAP}-02-29)`;

export const FORMATS: Readonly<Record<string, Expression>> = {
  date: wholePattern(DATE),
  time: wholePattern(TIME),
  'date-time': wholePattern(`${DATE}T${TIME}`),
  uuid: wholePattern('[\\da-f]{8}(?:-[\\da-f]{4}){3}-[\\da-f]{12}'),
};

/** What zod writes beside a pattern that says the same. */
const BESIDE = [
  ...['email', 'ipv4', 'ipv6', 'cidrv4', 'cidrv6', 'base64', 'base64url', 'nanoid', 'cuid'],
  ...['cuid2', 'ulid', 'xid', 'ksuid', 'e164', 'hostname', 'duration', 'emoji', 'mac', 'regex'],
  ...['lowercase', 'uppercase', 'starts_with', 'ends_with', 'includes'],
];
/** Nothing of these is a date, time or UUID: a pattern that some of them have says less than its format. */
const NOT_OURS = ['', 'x', '2', '20', '2024', '2024-', '2024-99-99', '99:99:99', '0123abcd'];

/** Whether a pattern may stand for a format beside it. @param pattern a regular expression of flag u */
export function isSaidBy(format: unknown, pattern: string): boolean {
  if (typeof format !== 'string') return false;
  if (!Object.hasOwn(FORMATS, format)) return BESIDE.includes(format);
  const own = new RegExp(pattern, 'u');
  return !NOT_OURS.some((text) => own.test(text));
}
