/** What went wrong, in the server's words, with the id that its log has. */
import { ApiError } from './api.js';

export function Failure({ error }: { readonly error: unknown }) {
  if (error === undefined) return null;
  const known = error instanceof ApiError ? error.failure : undefined;
  const text =
    error instanceof Error ? error.message : 'something went wrong that says nothing of itself';
  return (
    <p class="failure" role="alert">
      {text}
      {known !== undefined && known.requestId !== '' && (
        <small>
          {known.code} · request {known.requestId}
        </small>
      )}
    </p>
  );
}

export const isStopped = (error: unknown): boolean =>
  error instanceof DOMException && error.name === 'AbortError';
