/** Bugs of patches of pictures (../bugs.mjs). */
const PATCHIFY = 'patchify/patchify_cuda.cu';
const EMBED = 'embed_patches/embed_patches_cuda.cu';

/** @type {readonly import('../bugs.mjs').Bug[]} */
export const PICTURES = [
  {
    name: 'pixels are taken before all have come to shared memory',
    ...{ exercise: 'patchify', file: PATCHIFY, faults: ['kRace', 'kUninitialised'], at: PATCHIFY },
    find: '  __syncthreads();\n  T* const to',
    replace: '  T* const to',
    says: 'of dynamic shared memory',
  },
  {
    name: 'a last block that is not full takes as many patches as the others',
    ...{ exercise: 'patchify', file: PATCHIFY, faults: ['kOutOfBounds', 'kRace'], at: PATCHIFY },
    find: 'b.side - first < b.patches ? b.side - first : b.patches',
    replace: 'b.patches',
  },
  {
    name: '16-byte loads of lines of another length',
    ...{ exercise: 'patchify', file: PATCHIFY, faults: ['kMisaligned'], at: PATCHIFY },
    find: 'cuda::is_aligned(tiles) && size % 16 == 0 &&',
    replace: 'cuda::is_aligned(tiles) &&',
    says: 'multiple of 16',
  },
  {
    name: 'a step of several numbers stays in the patch that it began in',
    ...{ exercise: 'patchify', file: PATCHIFY },
    find: '      begin += patch;\n',
    replace: '',
  },
  {
    name: 'the class token is counted among the patches',
    ...{ exercise: 'embed_patches', file: EMBED, faults: ['kOutOfBounds'], at: EMBED },
    find: 'tile * (all - size) + i - size;\n  cuda::store',
    replace: 'tile * all + i - size;\n  cuda::store',
  },
  {
    name: 'the class token has no position',
    ...{ exercise: 'embed_patches', file: EMBED },
    find: 'cuda::load(from) + cuda::load(positions + i)',
    replace: 'cuda::load(from) + (i < size ? 0.f : cuda::load(positions + i))',
  },
];
