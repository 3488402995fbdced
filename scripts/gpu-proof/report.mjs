/** What a run found, as it stands: one object for gpu-proof.json, one page of Markdown. */

/**
 * @typedef {object} Row as benchmarks/gpu/row.ts prints it
 * @property {string} name
 * @property {number} ms
 * @property {number} runs
 * @property {{ flop: number, bytes: number }} [work]
 * @property {{ count: number, unit: string }} [perSecond]
 * @property {number} [peakBytes]
 * @property {{ name: string, ms: number, ratio: { median: number, low: number, high: number } }} [beside]
 */

/**
 * @typedef {object} Roofs bytes read and copied and FLOP of a bf16 product, a second
 * @property {number} read
 * @property {number} copy
 * @property {number} product
 * @property {number} launchMicroseconds
 * @property {number} [graphNodeMicroseconds]
 */

/**
 * @typedef {object} PartResult
 * @property {string} name
 * @property {string} title
 * @property {'passed' | 'failed' | 'skipped'} status
 * @property {string} why of a failure or of leaving it out
 * @property {number} seconds
 * @property {string[]} notes one line each, for the page
 * @property {string[]} tail last lines of what failed
 */

/**
 * @typedef {object} Findings
 * @property {boolean} isDryRun
 * @property {string} device what the product ran on: cuda (in a dry run a pretend card), or cpu
 * @property {string} commit
 * @property {string} startedAt
 * @property {import('./machine.mjs').Machine | undefined} machine
 * @property {PartResult[]} parts
 * @property {Record<string, unknown>[]} attention
 * @property {Roofs | undefined} roofs
 * @property {Row[]} rows
 */

/**
 * The milliseconds that the card would need at its measured roofs, and which of them binds.
 *
 * @param {Row} row @param {Roofs | undefined} roofs
 * @returns {{ ms: number, by: 'memory' | 'products' } | undefined}
 */
export function floorOf({ work }, roofs) {
  if (!work || !roofs) return undefined;
  const reading = (1000 * work.bytes) / roofs.read;
  const products = (1000 * work.flop) / roofs.product;
  return reading > products ? { ms: reading, by: 'memory' } : { ms: products, by: 'products' };
}

/** @param {number} x */
const short = (x) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toPrecision(3));

/** @param {readonly string[]} head @param {readonly (readonly string[])[]} lines */
function table(head, lines) {
  const line = (/** @type {readonly string[]} */ cells) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...lines.map(line)].join('\n');
}

/** @param {Row} row @param {Roofs | undefined} roofs */
function rowCells(row, roofs) {
  const floor = floorOf(row, roofs);
  const { beside, perSecond, peakBytes } = row;
  return [
    row.name,
    short(row.ms),
    perSecond ? `${short(perSecond.count)} ${perSecond.unit}/s` : '',
    floor ? `${short(floor.ms)} (${floor.by})` : '',
    floor ? `${((100 * floor.ms) / row.ms).toFixed(0)} %` : '',
    beside ? `${short(beside.ms)} (${beside.name})` : '',
    beside
      ? `${beside.ratio.median.toFixed(2)} [${beside.ratio.low.toFixed(2)}, ${beside.ratio.high.toFixed(2)}]`
      : '',
    peakBytes ? (peakBytes / 1e9).toFixed(1) : '',
  ];
}

/** @param {Findings} findings */
function describeCard({ machine, device, isDryRun }) {
  const card = machine?.card;
  const name = card
    ? `${card.name} (compute ${card.capability}, ${card.memory}, driver ${card.driver})`
    : 'no GPU';
  return isDryRun
    ? `Dry run on ${device === 'cuda' ? 'a pretend card' : 'the CPU'} with tiny models: figures mean nothing. ${name}.`
    : `${name}.`;
}

/** @param {Findings} findings @returns {string} */
export function toMarkdown(findings) {
  const { machine, roofs, parts, attention, rows } = findings;
  const packages = Object.entries(machine?.packages ?? {}).map(
    ([name, version]) => `${name} ${version}`,
  );
  const text = [
    '# Proof on a GPU',
    `${describeCard(findings)} ${findings.commit}, ${findings.startedAt}; ${machine?.cpu ?? ''}, ${machine?.cores ?? 0} ` +
      `cores; nvcc ${machine?.nvcc || 'absent'}; ${packages.join(', ') || 'a Python without torch'}.`,
    table(
      ['part', 'outcome', 's', 'notes'],
      parts.map((part) => [
        part.title,
        part.status === 'passed' ? 'passed' : `${part.status}: ${part.why}`,
        part.seconds.toFixed(0),
        part.notes.join('; '),
      ]),
    ),
  ];
  if (roofs) {
    const node = roofs.graphNodeMicroseconds;
    text.push(
      `Roofs measured: read ${short(roofs.read / 1e9)} GB/s, copy ${short(roofs.copy / 1e9)} GB/s (read and written), bf16 ` +
        `product ${short(roofs.product / 1e12)} TFLOP/s, a launch ${short(roofs.launchMicroseconds)} us` +
        `${node ? `, a node of a graph ${short(node)} us` : ''}.`,
    );
  }
  if (rows.length > 0) {
    const head = [
      'row',
      'ms',
      'rate',
      'floor, ms',
      'share',
      'beside, ms',
      'theirs / ours',
      'GB at most',
    ];
    text.push(
      table(
        head,
        rows.map((row) => rowCells(row, roofs)),
      ),
    );
  }
  if (attention.length > 0) {
    text.push(
      table(
        ['attention', 'dtype', 'gradients', 'choice', 'kernels', 'ms', 'TFLOP/s'],
        attention.map((one) => [
          ...[String(one['case']), String(one['dtype']), one['gradients'] ? 'yes' : 'no'],
          String(one['error'] ?? one['choice']),
          /** @type {string[]} */ (one['kernels'] ?? [])
            .map((name) => `\`${name.slice(0, 60)}\``)
            .join(' '),
          ...(typeof one['ms'] === 'number' ? [short(one['ms'])] : ['']),
          ...(typeof one['flopPerSecond'] === 'number'
            ? [short(one['flopPerSecond'] / 1e12)]
            : ['']),
        ]),
      ),
    );
  }
  const failures = parts.filter(({ status, tail }) => status === 'failed' && tail.length > 0);
  for (const { title, tail } of failures) {
    text.push(`Last lines of "${title}":`, ['```', ...tail, '```'].join('\n'));
  }
  return `${text.join('\n\n')}\n`;
}
