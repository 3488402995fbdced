/** Files that outlive crashes: atomic replacement, journals, and one writer a folder. And how files are read as text. */
export {
  AtomicFile,
  removeTemporaries,
  runWriteError,
  syncFiles,
  syncFolder,
  temporaryPath,
  writeFileAtomic,
} from './atomic-file.js';
export { csvLine } from './csv-line.js';
export { firstDetails } from './first-details.js';
export { findImpostor, impostorOf, readStart } from './impostor.js';
export { isJsonObject, jsonFault, type JsonObject, parseJson } from './json.js';
export { lockFolder } from './folder-lock.js';
export { AppendFile } from './append-file.js';
export { type JournalEntry, JournalFile, type JournalLine, readJournal } from './journal-file.js';
export {
  JOURNAL_START,
  type JournalPlace,
  lastJournalEntry,
  readJournalFrom,
} from './journal-tail.js';
export { sampledPictureHash, sampledWeightsHash } from './sampled-hash.js';
export { sha256, sha256OfFile } from './sha256.js';
export { systemCode } from './system-code.js';
export {
  columnOfFault,
  decodeText,
  readDataText,
  readOptionalText,
  universalNewlines,
} from './text-file.js';
