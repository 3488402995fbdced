/** What is sent of the fields of an answer that a schema holds to. */
import type { ExtractedField, FieldValue } from '../generation/index.js';
import { finite } from './log-probs.js';

const written = ({
  value,
  probability,
  logProb,
  calibratedProbability: calibrated,
}: FieldValue): object => ({
  value,
  probability,
  logprob: finite(logProb),
  ...(calibrated !== undefined && { calibrated_probability: calibrated }),
});

export function fieldsOf({ fields }: { readonly fields: readonly ExtractedField[] }): object[] {
  return fields.map(({ path, mass, alternatives, mean, median, ...own }) => ({
    path,
    ...written(own),
    mass,
    alternatives: alternatives.map(written),
    ...(mean !== undefined && { mean, median }),
  }));
}
