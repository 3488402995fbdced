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
