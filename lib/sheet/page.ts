/** One HTML file that runs no script and fetches nothing: whatever it shows is in it. */
import { escapeHtml } from './escape-html.js';

export interface Page {
  readonly title: string;
  readonly style: string;
  /** Markup. */
  readonly body: string;
}

export function htmlPage({ title, style, body }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}
