/** What is made of the rows: tables, a contact sheet, a report by groups. */
import { isClosed, type AnnotationField } from './columns.js';
import { compose, type Composed, openTable, type RowSink } from './compose.js';
import { GroupReport } from './group-report.js';
import { type Grouping, loadGroups } from './groups.js';
import type { AnnotateOptions, PreparedRun } from './options.js';
import type { Places } from './places.js';
import { Sheet } from './sheet.js';
import type { Settings } from './work-folder.js';

/** @throws as loadGroups */
export async function groupingOf(
  { groups }: AnnotateOptions,
  fields: readonly AnnotationField[],
): Promise<Grouping | undefined> {
  return groups === undefined ? undefined : loadGroups(groups, fields.filter(isClosed));
}

export interface OutputsOptions {
  readonly prepared: PreparedRun;
  /** Where the rows' files lie. */
  readonly root: string;
  /** What run.json holds. */
  readonly settings: Settings;
  readonly groups: Grouping | undefined;
}

/** Each file whole or not there. */
export async function writeOutputs(
  places: Places,
  { prepared, root, settings, groups }: OutputsOptions,
): Promise<Composed & { readonly outputs: readonly string[] }> {
  const { options, outputs, fields } = prepared;
  const { sheet, sheetRows: most = 100, calibration, csvRaw: isRaw = false } = options;
  const table = { fields, isCalibrated: calibration !== undefined, isRaw, settings };
  const sinks: (() => Promise<RowSink> | RowSink)[] = outputs.map(
    (path) => () => openTable(path, table),
  );
  const made: string[] = [...outputs];
  if (sheet !== undefined) {
    sinks.push(() => new Sheet({ path: sheet, most, root, fields }));
    made.push(sheet);
  }
  if (groups !== undefined) {
    const report = `${outputs[0]}.groups`;
    sinks.push(() => new GroupReport(report, fields.filter(isClosed), groups));
    made.push(report);
  }
  return { outputs: made, ...(await compose(places, sinks)) };
}
