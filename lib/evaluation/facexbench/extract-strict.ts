/**
 * A reading that guesses nothing: the whole reply has to name one option, by its letter, by its letter
 * and its own text, or by its text. Whatever else is said makes it no answer. It stands beside the
 * official reading to show how much of a score comes from the reading.
 */
import { optionLabels } from './extract-official.js';
import { pythonStrip } from './python-text.js';

/** `B`, `(B)`, `[B]`, `B)`, `B.`, `B:`, `Option B`, `**B**`; then nothing, or a text after a space. */
const REPLY = /^\*{0,2}(?:Option )?[([]?([A-Z])[)\]]?[.:]?\*{0,2}(?:\s+(?:-\s+)?(.+))?$/su;

function plain(text: string): string {
  return pythonStrip(text).toLowerCase();
}

/** Equal but for case, white space at the ends, and a full stop. */
function isSame(text: string, option: string | number): boolean {
  const [said, meant] = [plain(text), plain(String(option))];
  return said === meant || said === `${meant}.`;
}

/** Index of the one option that the reply names, or undefined. */
export function extractStrict(
  reply: string,
  options: readonly (string | number)[],
): number | undefined {
  const text = pythonStrip(reply);
  if (text === '') return undefined;
  const byText = options.flatMap((option, i) => (isSame(text, option) ? [i] : []));
  const match = REPLY.exec(text);
  if (match !== null) {
    const index = optionLabels(options.length).indexOf(match[1] ?? '');
    const rest = match[2];
    const option = options[index];
    const isOwn = option !== undefined && (rest === undefined || isSame(rest, option));
    // Options that are letters themselves may be meant either way.
    if (isOwn && byText.every((other) => other === index)) return index;
    if (isOwn) return undefined;
  }
  return byText.length === 1 ? byText[0] : undefined;
}
