/** Reports: one document as Markdown and HTML, its data as CSV and JSON, its plots as SVG. */
export { confusionSpec } from './charts/confusion.js';
export { type GroupsChartOptions, groupsSpec } from './charts/groups.js';
export { reliabilitySpec } from './charts/reliability.js';
export { renderSvg } from './charts/render.js';
export { rocSpec } from './charts/roc.js';
export { scoresSpec } from './charts/scores.js';
export { type CsvCell, csvOf } from './csv.js';
export {
  type Block,
  cellsOf,
  numeric,
  type ReportDocument,
  type TableBlock,
  type TableColumn,
  type TableRow,
} from './document.js';
export {
  formatDifference,
  formatEstimate,
  formatPValue,
  formatShare,
  rounded,
  roundedJson,
} from './numbers.js';
export { writeReport } from './write.js';
