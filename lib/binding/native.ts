/**
 * The one contract between TypeScript and the addon: every name here is exported by
 * native/binding (held equal by test/contract/native.test.ts). TypeScript validates and fills in
 * defaults before a call; the native side has none.
 *
 * Asynchronous methods return a {@link NativeJob}: they never throw for bad data, the promise
 * rejects with an Error that carries `code` (see lib/errors.ts) and `details`.
 */
import type {
  NativeExportRequest,
  NativeExportResult,
  NativeRandomCheckpoint,
} from './native-export.js';
import type {
  NativeAlignment,
  NativeChip,
  NativeFace,
  NativeFaceDetector,
  NativePicture,
  NativeSimilarity,
} from './native-faces.js';
import type { NativeJob } from './native-job.js';
import type { NativeLoadRequest, NativeModel } from './native-model.js';
import type { NativeImageInput } from './native-requests.js';
import type {
  NativeAugmentation,
  NativeGroupRequest,
  NativeProcessGroup,
  NativeTrainer,
  NativeTrainerRequest,
} from './native-training.js';

export type * from './native-config.js';
export type * from './native-export.js';
export type * from './native-faces.js';
export type * from './native-job.js';
export type * from './native-model.js';
export type * from './native-requests.js';
export type * from './native-training.js';

export interface NativeGpuInfo {
  readonly name: string;
  readonly computeMajor: number;
  readonly computeMinor: number;
  readonly memoryBytes: number;
}

export interface NativeRuntimeInfo {
  readonly version: string;
  readonly libtorch: string;
  readonly isCudaBuild: boolean;
  readonly cudaArchs: readonly string[];
  readonly cpuCapability: string;
  /** What the engine's own code counts on, under `FACELLM_CPU_ISA`. */
  readonly cpuLevel: 'scalar' | 'avx2' | 'avx512' | 'amx';
  readonly hasAvx512Bf16: boolean;
  /** Large products of bf16 are computed in fp32: the processor has nothing for them. */
  readonly widensBf16: boolean;
  /** Which of the engine's own kernels multiply packed bf16 weights. */
  readonly productKernels: 'scalar' | 'avx2' | 'avx512' | 'amx';
  /** Up to so many rows at once, above which libtorch does; -1: always, 0: never. */
  readonly productRows: number;
  /** Which of them multiply weights in 8 and 4 bits. */
  readonly quantisedKernels: 'scalar' | 'avx2' | 'avx512';
  readonly threads: number;
  readonly gpus: readonly NativeGpuInfo[];
  readonly gpuProblem: string;
}

/** Which of libtorch's attentions answers a kind of call. */
export interface NativeAttentionBackend {
  readonly call: string;
  /** `composed` writes all scores to memory; the others do not. */
  readonly backend: string;
}

export interface NativeAddon {
  exportCheckpoint(
    request: NativeExportRequest,
    onProgress: (bytesDone: number, bytesTotal: number) => void,
  ): NativeJob<NativeExportResult>;
  /** Random weights, fp32, into one safetensors file; resolves to the number of parameters. */
  writeRandomCheckpoint(request: NativeRandomCheckpoint): NativeJob<number>;
  createTrainer(
    request: NativeTrainerRequest,
    onProgress: (bytesDone: number, bytesTotal: number) => void,
    group?: NativeProcessGroup,
  ): NativeJob<NativeTrainer>;
  /** Resolves when every rank has come. */
  joinGroup(request: NativeGroupRequest): NativeJob<NativeProcessGroup>;
  /** Transports between processes that this build holds. */
  distributedBackends(): readonly string[];
  runtimeInfo(): NativeJob<NativeRuntimeInfo>;
  /** In bf16, on this device. */
  attentionBackends(device: string): NativeJob<readonly NativeAttentionBackend[]>;
  /** The native code table, for the contract test. */
  errorCodes(): readonly string[];
  setThreads(threads: number): NativeJob<void>;
  loadModel(
    request: NativeLoadRequest,
    onProgress: (bytesDone: number, bytesTotal: number) => void,
  ): NativeJob<NativeModel>;
  chooseTileGrid(
    width: number,
    height: number,
    tileSize: number,
    minTiles: number,
    maxTiles: number,
  ): { readonly columns: number; readonly rows: number };
  loadFaceDetector(shortFile: string, fullFile: string): NativeJob<NativeFaceDetector>;
  alignFace(face: NativeFace, margin: number, isTurned: boolean): NativeAlignment;
  cutChip(
    picture: NativePicture,
    similarity: NativeSimilarity,
    size: number,
  ): NativeJob<NativeChip>;
  /** Tiles that the vision tower encodes in one go. */
  readonly tilesAtOnce: number;
  /** uint8 `[N, 3, tileSize, tileSize]`, thumbnail last; of the picture changed first, where asked. */
  tilePixels(
    image: NativeImageInput,
    tileSize: number,
    augmentation?: NativeAugmentation,
  ): NativeJob<Uint8Array>;
  /** Pillow's bicubic, bit-exact; uint8 `[outHeight, outWidth, 3]`. */
  resizePillow(
    rgb: Uint8Array,
    width: number,
    height: number,
    outWidth: number,
    outHeight: number,
  ): NativeJob<Uint8Array>;
}
