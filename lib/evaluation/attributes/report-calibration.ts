/** The part of the fairness report on calibrated probabilities: which files they are of, and what those do to each question. */
import { type Block, numeric } from '../report/document.js';
import { formatEstimate } from '../report/numbers.js';
import type { UsedCalibration } from '../types.js';
import type { AttributeAnalysis } from './analysis.js';
import { FIGURE_TITLES } from './figures.js';
import { scoresOf } from './report-groups.js';

const ABOUT =
  "Calibrated is what the file of `facellm calibrate` makes of a model's probabilities: the log-probabilities of a question's answers are divided by one temperature, fitted on labels. That changes how sure a model is and never its first answer: accuracy and all figures but the ECE are the same with and without it. Nothing else in this report is calibrated.";
const UNSEEN =
  'Its figures hold for pictures that had no part in the fit, which no file can tell of single pictures. One temperature serves all groups: where a group stays badly calibrated, its confidences are to be trusted less.';

function fileText({ model, file, sha256, fingerprint, fittedOn }: UsedCalibration): string {
  const { benchmark, pictures, sha256: data } = fittedOn;
  return `${model}: ${file}, sha256 ${sha256}, for model and form ${fingerprint}; fitted on ${benchmark}, ${pictures} pictures, data ${data}`;
}

/** Models that no file is for. */
function uncalibrated(
  calibrations: readonly UsedCalibration[],
  attributes: readonly AttributeAnalysis[],
): string[] {
  const all = attributes.flatMap(({ scores }) => scores.map(({ model }) => model));
  const names = [...new Set(all)].filter((name) =>
    calibrations.every(({ model }) => model !== name),
  );
  return names.map((name) => `${name}: no file was given for it, so it is not calibrated`);
}

function rowsOf(
  { model, questions }: UsedCalibration,
  attributes: readonly AttributeAnalysis[],
): readonly (readonly string[])[] {
  return attributes.flatMap((attribute) => {
    const known = questions.find(({ question }) => question === attribute.question);
    const score = scoresOf(attribute, 'probability').find((one) => one.model === model);
    if (known === undefined || score === undefined) return [];
    const { count, ece, calibratedEce } = score.overall;
    const bound = known.isAtBound ? ' (at the bound: not to be rested on)' : '';
    return [
      [
        ...[attribute.name, model, `${known.temperature.toFixed(3)}${bound}`, String(count)],
        ...[ece, calibratedEce].map(formatEstimate),
      ],
    ];
  });
}

/** Nothing without files. */
export function calibrationBlocks(
  calibrations: readonly UsedCalibration[],
  attributes: readonly AttributeAnalysis[],
): Block[] {
  if (calibrations.length === 0) return [];
  const own = calibrations.filter(({ isOwnData }) => isOwnData).map(({ file }) => file);
  return [
    { kind: 'heading', level: 2, text: 'Calibrated probabilities' },
    { kind: 'paragraph', text: ABOUT },
    ...(own.length === 0
      ? []
      : [
          {
            kind: 'warning',
            text: `${own.join(', ')} was fitted on these very pictures and labels: calibrated figures of it are too good. Evaluate on others.`,
          } as const,
        ]),
    {
      kind: 'list',
      items: [...calibrations.map(fileText), ...uncalibrated(calibrations, attributes)],
    },
    {
      kind: 'table',
      columns: [
        ...[{ title: 'attribute' }, { title: 'model' }],
        ...numeric('temperature', 'n', FIGURE_TITLES.ece, FIGURE_TITLES.calibratedEce),
      ],
      rows: calibrations.flatMap((one) => rowsOf(one, attributes)).map((cells) => ({ cells })),
    },
    { kind: 'paragraph', text: UNSEEN },
  ];
}
