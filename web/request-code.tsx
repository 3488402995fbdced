/** The last request as a command and as a program. */
import { useState } from 'preact/hooks';

/** Pictures are long: they are named instead. */
const withoutPictures = (body: object): string =>
  JSON.stringify(body, null, 2).replace(/"data:[^"]{40,}"/g, '"data:image/jpeg;base64,..."');

export function curlOf(path: string, body: object): string {
  const text = withoutPictures(body).replaceAll("'", "'\\''");
  return `curl ${location.origin}${path} \\\n  -H 'content-type: application/json' \\\n  -d '${text}'`;
}

export function typescriptOf(path: string, body: object): string {
  const text = withoutPictures(body);
  if (path === '/v1/chat/completions') {
    return [
      "import OpenAI from 'openai';",
      '',
      `const client = new OpenAI({ baseURL: '${location.origin}/v1', apiKey: 'none' });`,
      `const answer = await client.chat.completions.create(${text} as never);`,
    ].join('\n');
  }
  return [
    `const response = await fetch('${location.origin}${path}', {`,
    "  method: 'POST',",
    "  headers: { 'content-type': 'application/json' },",
    `  body: JSON.stringify(${text}),`,
    '});',
    'const result = await response.json();',
  ].join('\n');
}

export function RequestCode({ path, body }: { readonly path: string; readonly body: object }) {
  const [isTypescript, choose] = useState(false);
  const text = isTypescript ? typescriptOf(path, body) : curlOf(path, body);
  return (
    <details class="code">
      <summary>Show request</summary>
      <div class="row">
        <button type="button" aria-pressed={!isTypescript} onClick={() => choose(false)}>
          curl
        </button>
        <button type="button" aria-pressed={isTypescript} onClick={() => choose(true)}>
          TypeScript
        </button>
        <button type="button" onClick={() => void navigator.clipboard.writeText(text)}>
          Copy
        </button>
      </div>
      <pre tabIndex={0}>{text}</pre>
    </details>
  );
}
