/** Which models the server has: the base, and each adapter as one of its own. */
import { get } from './api.js';
import { changed, settings, shared } from './state.js';

interface Models {
  readonly data: readonly { readonly id: string; readonly parent: string | null }[];
}

/** Whoever chose one that is gone gets the base. @throws ApiError */
export async function loadModels(): Promise<void> {
  const { data } = (await (await get('/v1/models')).json()) as Models;
  shared.models = data.map(({ id }) => id);
  shared.base = data.find(({ parent }) => parent === null)?.id ?? '';
  if (!shared.models.includes(settings.model)) settings.model = shared.base;
  changed();
}
