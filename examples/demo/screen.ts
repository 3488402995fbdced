/** What people see: paragraphs, a bar that is redrawn on a terminal, plain lines now and then elsewhere. */

export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const INDENT = '      ';
const MOST_COLUMNS = 100;
const BAR_CELLS = 24;
const REDRAW_MS = 100;
/** Between two lines where nothing can be redrawn. */
const LINE_MS = 10_000;

/** `1:05`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

/** Lines of at most `width` letters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Rows under a heading, in columns of equal width; columns of numbers stand to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const [head = [], ...body] = rows;
  const columns = head.map((title, i) => {
    const cells = body.map((row) => row[i] ?? '');
    const isNumeric = cells.every((cell) => /^[-\d.]+(?: \([^a-z]*\))?$/.test(cell));
    return { isNumeric, width: Math.max(title.length, ...cells.map((cell) => cell.length)) };
  });
  return rows.map((row) =>
    columns
      .map(({ isNumeric, width }, i) => {
        const cell = row[i] ?? '';
        return isNumeric ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('   ')
      .trimEnd(),
  );
}

interface Pace {
  readonly done: number;
  readonly at: number;
}

export class Screen {
  readonly #stream: OutputStream;
  readonly #now: () => number;
  #first: Pace | undefined;
  #shownAt = -Infinity;
  #hasEstimate = false;
  #pending: string | undefined;

  /** @param now milliseconds of a clock that never goes back; for tests */
  constructor(stream: OutputStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
  }

  line(text = ''): void {
    this.endProgress();
    this.#stream.write(`${text}\n`);
  }

  /** A paragraph under a heading. */
  say(text: string): void {
    const width = Math.min(this.#stream.columns ?? MOST_COLUMNS, MOST_COLUMNS) - INDENT.length;
    for (const line of wrap(text, Math.max(width, 20))) this.line(INDENT + line);
  }

  /** Lines as they are, under a heading. */
  show(lines: readonly string[]): void {
    for (const line of lines) this.line(INDENT + line);
  }

  heading(text: string): void {
    this.line();
    this.line(text);
  }

  /** How far a stage is; time left by the pace since its first call, shown at once when it is known. */
  progress(done: number, total: number, note = ''): void {
    const now = this.#now();
    this.#first ??= { done, at: now };
    const { done: before, at } = this.#first;
    const left = done > before ? ((total - done) * (now - at)) / (done - before) / 1000 : undefined;
    const share = total > 0 ? done / total : 1;
    const filled = Math.round(BAR_CELLS * share);
    const text = [
      `${'█'.repeat(filled)}${'░'.repeat(BAR_CELLS - filled)}`,
      `${done}/${total}`,
      note,
      done >= total ? 'done' : left === undefined ? '' : `${clock(left)} left`,
    ]
      .filter((part) => part !== '')
      .join('  ');
    this.#pending = text;
    const isDue = now - this.#shownAt >= (this.#stream.isTTY ? REDRAW_MS : LINE_MS);
    if (isDue || (left !== undefined && !this.#hasEstimate)) this.#draw(now);
    this.#hasEstimate = left !== undefined;
  }

  /** Shows the last state and leaves the line to whatever is printed next. */
  endProgress(): void {
    if (this.#first === undefined) return;
    if (this.#pending !== undefined) this.#draw(this.#now());
    if (this.#stream.isTTY) this.#stream.write('\n');
    this.#first = undefined;
    this.#hasEstimate = false;
    this.#shownAt = -Infinity;
  }

  #draw(now: number): void {
    const text = INDENT + (this.#pending ?? '');
    this.#pending = undefined;
    this.#shownAt = now;
    // A line that wraps cannot be redrawn.
    const width = (this.#stream.columns ?? 0) > 1 ? (this.#stream.columns ?? 0) - 1 : text.length;
    this.#stream.write(this.#stream.isTTY ? `\r\x1b[K${text.slice(0, width)}` : `${text}\n`);
  }
}
