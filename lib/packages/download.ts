/** What downloads stand on: the hub's own client, HTTP with proxies, ZIP archives. */
import { loadOptional } from './optional.js';

/** The three packages, as their own modules. */
export interface DownloadPackages {
  readonly hub: typeof import('@huggingface/hub');
  readonly undici: typeof import('undici');
  readonly yauzl: typeof import('yauzl');
}

/** @throws MissingPackageError FACELLM_PACKAGE_MISSING */
export async function loadDownloadPackages(): Promise<DownloadPackages> {
  const names = ['@huggingface/hub', 'undici', 'yauzl'];
  const [hub, undici, yauzl] = await loadOptional(
    names,
    { purpose: 'downloads', otherwise: 'fetch the files by other means and pass their folder' },
    () => Promise.all([import('@huggingface/hub'), import('undici'), import('yauzl')]),
  );
  return { hub, undici, yauzl };
}
