/** The writer of Parquet files. */
import { loadOptional } from './optional.js';

/** @throws MissingPackageError FACELLM_PACKAGE_MISSING */
export function loadParquetWriter(): Promise<typeof import('hyparquet-writer')> {
  return loadOptional(
    ['hyparquet-writer'],
    { purpose: 'a Parquet file' },
    () => import('hyparquet-writer'),
  );
}
