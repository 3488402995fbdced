/** HTML as values: whatever is put into a template is escaped, unless it is HTML itself. */

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Content = Html | string | number | readonly Content[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? letter);
}

function render(content: Content): string {
  if (content instanceof Html) return content.text;
  if (typeof content === 'string' || typeof content === 'number') {
    return escapeHtml(String(content));
  }
  return content.map(render).join('');
}

/** A template whose holes are escaped; lists are joined. */
export function html(parts: TemplateStringsArray, ...holes: readonly Content[]): Html {
  const text = parts.map((part, i) => part + (i < holes.length ? render(holes[i] ?? '') : ''));
  return new Html(text.join(''));
}

/** Trusted text, such as a style sheet. */
export function raw(text: string): Html {
  return new Html(text);
}
