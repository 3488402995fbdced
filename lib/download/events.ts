/** What a download tells while it works. */

export interface PlannedFile {
  readonly path: string;
  readonly size: number;
  /** `sha256:...`, `git-blob:...` or `md5:...`: what its content must have. */
  readonly hash: string;
}

export type DownloadEvent =
  /** What will be fetched, before it is. */
  | {
      readonly type: 'plan';
      /** `model org/name at COMMIT`, or a data set's title and version. */
      readonly source: string;
      /** As its page states it; undefined if it does not. */
      readonly license: string | undefined;
      readonly files: readonly PlannedFile[];
      readonly bytesTotal: number;
      /** Of them already here, from before. */
      readonly bytesHere: number;
      /** Where it goes. */
      readonly directory: string;
    }
  | DownloadProgress
  /** Nothing comes for a while: another process downloads the same, or a server failed or asks to wait. */
  | { readonly type: 'wait'; readonly reason: string; readonly seconds: number | undefined }
  /** The hub was not asked, or could not be: what is in the cache is taken as it is. */
  | { readonly type: 'offline'; readonly reason: string }
  /** Archives are being unpacked. */
  | { readonly type: 'unpack'; readonly filesDone: number; readonly filesTotal: number };

export interface DownloadProgress {
  readonly type: 'progress';
  readonly bytesDone: number;
  readonly bytesTotal: number;
  readonly filesDone: number;
  readonly filesTotal: number;
  /** Of the last ten seconds. */
  readonly bytesPerSecond: number;
  /** Undefined while nobody knows. */
  readonly secondsLeft: number | undefined;
}

export type OnDownload = (event: DownloadEvent) => void;
