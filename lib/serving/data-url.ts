/** Pictures as a request holds them: `data:` URLs in strict base64, or addresses. */

/** A picture's file, or why there is none. */
export type Picture =
  | { readonly bytes: Uint8Array }
  /** To be fetched, if the server does. */
  | { readonly address: string }
  | {
      readonly code: string;
      readonly message: string;
      /** No address of any kind. */
      readonly isText?: boolean;
    };

const HEAD = /^data:[^,]{0,200}?;base64,/i;
/** How JPEG, PNG, GIF and WebP files begin in base64. */
const BARE = /^(\/9j\/|iVBORw0KGgo|R0lGOD|UklGR)/;

const bad = (code: string, message: string) => ({ code, message });

export function readPicture(url: unknown): Picture {
  if (typeof url !== 'string') return bad('invalid_image_url', 'expected a data: URL');
  const head = HEAD.exec(url.slice(0, 256))?.[0];
  if (head !== undefined) return decode(url.slice(head.length));
  if (/^data:/i.test(url)) {
    return bad('invalid_base64_image', 'expected data:image/...;base64,...');
  }
  if (BARE.test(url)) {
    return bad('invalid_image_url', 'looks like base64; put data:image/...;base64, in front of it');
  }
  if (/^https?:/i.test(url)) return { address: url };
  if (/^file:/i.test(url)) {
    return bad(
      'invalid_image_url',
      'this server opens no files; send the picture as data:image/...;base64,...',
    );
  }
  return { ...bad('invalid_image_url', 'expected data:image/...;base64,...'), isText: true };
}

/** Buffer.from leaves out what is no base64: the length tells whether it did. */
function decode(text: string): Picture {
  const wrong = bad('invalid_base64_image', 'expected standard base64, padded, nothing else in it');
  if (text.length % 4 !== 0 || text.includes('-') || text.includes('_')) return wrong;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== (text.length / 4) * 3 - padding) return wrong;
  if (bytes.length === 0) return bad('empty_image_file', 'the picture is empty');
  // Small buffers lie in memory that Node shares among them; one of its own can be handed to another thread.
  return { bytes: Uint8Array.from(bytes) };
}
