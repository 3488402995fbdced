/** Files that outlive crashes: atomic replacement, journals, and one writer a folder. */
export { AtomicFile, runWriteError, syncFolder, writeFileAtomic } from './atomic-file.js';
export { lockFolder } from './folder-lock.js';
export { JournalFile, type JournalLine } from './journal-file.js';
