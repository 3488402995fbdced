/** Whether an address is one of the public internet's: what a request may make a server connect to. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** IANA's special-purpose addresses of IPv4, multicast and reserved ones. */
const SPECIAL: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
const special = new BlockList();
for (const [network, prefix] of SPECIAL) special.addSubnet(network, prefix, 'ipv4');

/** The eight numbers of an address; undefined where it is none, or names an interface. */
function groupsOf(address: string): readonly number[] | undefined {
  if (!isIPv6(address) || address.includes('%')) return undefined;
  // The URL parser writes a dotted end in hexadecimal.
  const plain = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [left = '', right] = plain.split('::');
  const parse = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [head, tail] = [parse(left), parse(right ?? '')];
  if (right === undefined) return head;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

const dotted = (high: number, low: number): string =>
  [high >> 8, high & 255, low >> 8, low & 255].join('.');

export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, 'ipv4');
  const groups = groupsOf(address);
  if (groups === undefined) return false;
  const [a = 0, b = 0, c = 0, , , f = 0, g = 0, h = 0] = groups;
  const isZero = (from: number, to: number): boolean =>
    groups.slice(from, to).every((group) => group === 0);
  // Those that hold an IPv4 address go where that one is: mapped, NAT64, 6to4.
  if (isZero(0, 5) && f === 0xffff) return isPublicAddress(dotted(g, h));
  if (a === 0x64 && b === 0xff9b && isZero(2, 6)) return isPublicAddress(dotted(g, h));
  if (a === 0x2002) return isPublicAddress(dotted(b, c));
  // Global unicast without Teredo and its neighbours, and without examples.
  const isGlobal = a >= 0x2000 && a <= 0x3fff;
  const isSpecial = (a === 0x2001 && (b < 0x200 || b === 0xdb8)) || (a === 0x3fff && b < 0x1000);
  return isGlobal && !isSpecial;
}
